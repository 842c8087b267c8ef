SELECT
    product_id,
    description,
    category,
    list_price,
    discontinued
FROM staging.product
