-- Grain: one order; its status accumulates.
SELECT
    order_id,
    customer_id,
    status,
    is_cancellation,
    ordered_at
FROM staging."order"
