-- Revenue by the customer's market at the time of the order: type 2 history at work.
SELECT c.country AS market, COUNT(*) AS lines, SUM(s.amount) AS revenue
FROM analytics.fact_sales s
JOIN analytics.dim_customer c ON c.customer_key = s.customer_key
GROUP BY c.country
ORDER BY revenue DESC
LIMIT 5
