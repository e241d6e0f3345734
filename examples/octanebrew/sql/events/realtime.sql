-- @name realtime_stats
-- @type report
-- @description Who watches a channel now, and its views in 48 hours.
-- @param app_id text
-- | The application, such as openstream
-- @param channel_id text
-- | The channel
-- @column active_viewers Viewers with a heartbeat in the last five minutes
-- | Users, and sessions of anonymous ones. Anonymous heartbeats without a session come every ten
-- | seconds, so the minute with the most of them shows how many viewers there were.
-- @column views_48h Events view and video_view of the last 48 hours
WITH located AS (
    SELECT
        e."at",
        e.event_id,
        e.name,
        coalesce(e.user_id, 'anonymous') AS user_id,
        e.properties,
        e.properties->>'$.video_id' AS video_id,
        nullif(nullif(e.properties->>'$.channel_id', ''), 'global') AS own_channel_id,
        coalesce(
            own_channel_id, v.channel_id, e.properties->>'$.channel_id'
        ) AS channel_id
    FROM events AS e
    LEFT JOIN video_channels AS v
        ON v.app_id = coalesce(e.app_id, 'unknown')
        AND v.video_id = (e.properties->>'$.video_id')
    WHERE coalesce(e.app_id, 'unknown') = $app_id
        AND e."at" <= now()
        AND e."at" >= make_timestamptz(epoch_us(now()) - 48 * 3600000000)
),
beats AS (
    SELECT
        coalesce(nullif(user_id, 'anonymous'), properties->>'$.session_id') AS viewer,
        (epoch_us(now()) - epoch_us("at")) // 60000000 AS minutes_ago
    FROM located
    WHERE name = 'video_heartbeat'
        AND channel_id = $channel_id
        AND "at" >= make_timestamptz(epoch_us(now()) - 300000000)
),
unnamed AS (
    SELECT count(*) AS beats FROM beats WHERE viewer IS NULL GROUP BY minutes_ago
)
SELECT
    (SELECT count(DISTINCT viewer) FROM beats)
    + (SELECT coalesce(ceil(max(beats) / 6), 0)::BIGINT FROM unnamed) AS active_viewers,
    (
        SELECT count(*)
        FROM located
        WHERE channel_id = $channel_id AND name IN ('view', 'video_view')
    ) AS views_48h;

-- @name realtime_velocity
-- @type report
-- @description Views of a channel by hour, of the last 48 hours.
-- | Hours without views have 0; the one that has begun is there, too.
-- @param app_id text
-- | The application, such as openstream
-- @param channel_id text
-- | The channel
-- @order hour
-- @column hour Beginning of the hour
-- @column views Events view and video_view
WITH located AS (
    SELECT
        e."at",
        e.event_id,
        e.name,
        coalesce(e.user_id, 'anonymous') AS user_id,
        e.properties,
        e.properties->>'$.video_id' AS video_id,
        nullif(nullif(e.properties->>'$.channel_id', ''), 'global') AS own_channel_id,
        coalesce(
            own_channel_id, v.channel_id, e.properties->>'$.channel_id'
        ) AS channel_id
    FROM events AS e
    LEFT JOIN video_channels AS v
        ON v.app_id = coalesce(e.app_id, 'unknown')
        AND v.video_id = (e.properties->>'$.video_id')
    WHERE coalesce(e.app_id, 'unknown') = $app_id
        AND e."at" <= now()
        AND e."at" >= make_timestamptz(epoch_us(now()) - 48 * 3600000000)
),
bounds AS (
    SELECT
        make_timestamptz(
            epoch_us(now()) - microsecond(now()) - 60000000 * minute(now())
        ) AS this_hour
),
hours AS (
    SELECT
        unnest(
            generate_series(this_hour - INTERVAL 48 HOUR, this_hour, INTERVAL 1 HOUR)
        ) AS hour
    FROM bounds
),
viewed AS (
    SELECT
        make_timestamptz(
            epoch_us("at") - microsecond("at") - 60000000 * minute("at")
        ) AS hour,
        count(*) AS views
    FROM located
    WHERE channel_id = $channel_id AND name IN ('view', 'video_view')
    GROUP BY ALL
)
SELECT hour, coalesce(views, 0) AS views
FROM hours LEFT JOIN viewed USING (hour)
ORDER BY hour;
