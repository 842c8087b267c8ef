-- Descriptions come padded from the till; stock codes stay as written.
SELECT
    product_id,
    trim(description) AS description,
    category,
    list_price,
    discontinued
FROM landing.product
