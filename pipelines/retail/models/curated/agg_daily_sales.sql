-- Grain: one day, product category and customer market.
SELECT
    s.order_date_key,
    COALESCE(p.category, '(none)') AS category,
    COALESCE(c.country, '(none)') AS country,
    SUM(s.quantity) AS quantity,
    SUM(s.amount) AS amount,
    COUNT(*) AS lines
FROM curated.fact_sales AS s
JOIN curated.dim_product AS p ON p.product_key = s.product_key
JOIN curated.dim_customer AS c ON c.customer_key = s.customer_key
GROUP BY s.order_date_key, COALESCE(p.category, '(none)'), COALESCE(c.country, '(none)')
