-- @name growth_by_country
-- @type materialized_view
-- @object growth_by_country
-- @description New and accumulated users by country and month.
-- | One row per country and month, from the first month with a new user anywhere to the
-- | last; a month without new users has 0. Months are those of the time zone.
-- @order month, users desc, country
-- @filter month [=, >=, <=]
-- @filter country [=, in]
-- @limit 1000 100000
-- @column month First day of the month
-- @column country ISO 3166 code, "Unknown" without one
-- @column new_users Users created in the month
-- @column users Users created up to the end of the month
-- @column growth new_users of the users before; NULL for the first users
-- @unit growth share of the users before
-- @test unique(month, country)
-- @test not_null(month, country, new_users, users)
-- @test SELECT * FROM growth_by_country WHERE new_users > users
WITH created AS (
    SELECT
        date_trunc('month', created_at::DATE)::DATE AS month,
        coalesce(country, 'Unknown') AS country,
        count(*) AS new_users
    FROM fpp_users
    WHERE created_at IS NOT NULL
    GROUP BY ALL
),
months AS (
    SELECT unnest(
        generate_series(min(month)::TIMESTAMP, max(month)::TIMESTAMP, INTERVAL 1 MONTH)
    )::DATE AS month
    FROM created
),
grid AS (
    SELECT month, country, coalesce(new_users, 0) AS new_users
    FROM months
    CROSS JOIN (SELECT DISTINCT country FROM created)
    LEFT JOIN created USING (month, country)
),
accumulated AS (
    SELECT *, sum(new_users) OVER (PARTITION BY country ORDER BY month) AS users
    FROM grid
)
SELECT
    month,
    country,
    new_users,
    users,
    new_users / nullif(users - new_users, 0) AS growth
FROM accumulated;
