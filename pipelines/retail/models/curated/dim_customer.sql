SELECT
    customer_id,
    first_name,
    last_name,
    email,
    street,
    city,
    country,
    birth_date,
    segment,
    marital_status
FROM staging.customer
