-- Sales by month, product category and customer market.
SELECT
    d.year,
    d.month,
    a.category,
    a.country,
    SUM(a.quantity) AS quantity,
    SUM(a.amount) AS amount,
    SUM(a.lines) AS lines
FROM curated.agg_daily_sales AS a
JOIN curated.dim_date AS d ON d.date_key = a.order_date_key
GROUP BY d.year, d.month, a.category, a.country
