-- @name busiest_hours
-- @type materialized_view
-- @object busiest_hours
-- @description Activity by weekday and hour of the time zone.
-- | Always 168 rows. Add `@zone Europe/Berlin` above the SELECT for another time zone
-- | than TIMEZONE.
-- @order weekday, hour
-- @filter weekday [=, in]
-- @filter hour [=, >=, <=]
-- @limit 168 168
-- @column weekday 1 for Monday to 7 for Sunday
-- @column weekday_name Name of the weekday
-- @column hour Hour of the day, 0 to 23
-- @column page_views Page views in this hour of all weeks
-- @column estimations Estimations in this hour of all weeks
-- @column votes Votes in this hour of all weeks
-- @unit hour hours
-- @test unique(weekday, hour)
-- @test not_null(weekday, weekday_name, hour, page_views, estimations, votes)
-- @test SELECT count(*) AS rows FROM busiest_hours HAVING count(*) <> 168
WITH activity AS (
    SELECT viewed_at AS active_at, 'page_views' AS kind FROM fpp_page_views
    UNION ALL
    SELECT estimated_at, 'estimations' FROM fpp_estimations
    UNION ALL
    SELECT voted_at, 'votes' FROM fpp_votes
),
counts AS (
    SELECT
        isodow(active_at)::TINYINT AS weekday,
        hour(active_at)::TINYINT AS hour,
        count(*) FILTER (kind = 'page_views') AS page_views,
        count(*) FILTER (kind = 'estimations') AS estimations,
        count(*) FILTER (kind = 'votes') AS votes
    FROM activity
    WHERE active_at IS NOT NULL
    GROUP BY ALL
),
slots AS (
    SELECT weekday::TINYINT AS weekday, hour::TINYINT AS hour
    FROM range(1, 8) AS days (weekday) CROSS JOIN range(24) AS hours (hour)
)
SELECT
    weekday,
    [
        'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'
    ][weekday] AS weekday_name,
    hour,
    coalesce(page_views, 0) AS page_views,
    coalesce(estimations, 0) AS estimations,
    coalesce(votes, 0) AS votes
FROM slots LEFT JOIN counts USING (weekday, hour);
