-- Grain: one order line.
SELECT
    order_id,
    line_number,
    product_id,
    customer_id,
    quantity,
    unit_price,
    CAST(quantity * unit_price AS DECIMAL(18, 3)) AS amount,
    ordered_at
FROM staging.order_item
