-- Revenue by month of the order.
SELECT d.year, d.month_name AS month, COUNT(*) AS lines, SUM(s.amount) AS revenue
FROM analytics.fact_sales s
JOIN analytics.dim_date d ON d.date_key = s.order_date_key
GROUP BY d.year, d.month, d.month_name
ORDER BY d.year, d.month
LIMIT 5
