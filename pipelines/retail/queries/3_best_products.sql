-- Products by revenue, with their current description.
SELECT p.product_id AS product, p.description, SUM(s.quantity) AS pieces, SUM(s.amount) AS revenue
FROM analytics.fact_sales s
JOIN analytics.dim_product p ON p.product_key = s.product_key
GROUP BY p.product_id, p.description
ORDER BY revenue DESC
LIMIT 5
