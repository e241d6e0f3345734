WITH places AS MATERIALIZED (
    SELECT country, region, city, count(*) AS count FROM users GROUP BY ALL
),
agents AS MATERIALIZED (
    SELECT device, os, browser, count(*) AS count FROM users GROUP BY ALL
),
per_device AS (
    SELECT coalesce(device, 'Unknown') AS key, sum(count) AS count
    FROM agents GROUP BY key
),
per_os AS (
    SELECT coalesce(os, 'Unknown') AS key, sum(count) AS count FROM agents GROUP BY key
),
per_browser AS (
    SELECT coalesce(browser, 'Unknown') AS key, sum(count) AS count
    FROM agents GROUP BY key
),
per_country AS (
    SELECT coalesce(country, 'Unknown') AS key, sum(count) AS count
    FROM places GROUP BY key ORDER BY count DESC, key LIMIT 40
),
per_region AS (
    SELECT country, region, sum(count) AS count
    FROM places GROUP BY ALL ORDER BY count DESC, country, region LIMIT 40
),
per_city AS (
    SELECT country, city, sum(count) AS count
    FROM places GROUP BY ALL ORDER BY count DESC, country, city LIMIT 40
)
SELECT (SELECT list({key: key, count: count} ORDER BY count DESC, key) FROM per_device)
           AS device,
       (SELECT list({key: key, count: count} ORDER BY count DESC, key) FROM per_os)
           AS os,
       (SELECT list({key: key, count: count} ORDER BY count DESC, key) FROM per_browser)
           AS browser,
       (SELECT list({key: key, count: count} ORDER BY count DESC, key) FROM per_country)
           AS country,
       (
           SELECT list(
               {country: country, region: region, count: count}
               ORDER BY count DESC, country, region
           ) FROM per_region
       ) AS country_region,
       (
           SELECT list(
               {country: country, city: city, count: count}
               ORDER BY count DESC, country, city
           ) FROM per_city
       ) AS country_city
