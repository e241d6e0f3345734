-- @name video_channels
-- @type materialized_view
-- @object video_channels
-- @description The channel of each video, and its newest title and picture.
-- | Browsers send most events without a channel, and services send comments with the
-- | channel "global". The reports take such an event for one of its video's channel.
-- @order app_id, video_id
-- @filter app_id [=]
-- @filter video_id [=, in]
-- @filter channel_id [=, in]
-- @limit 1000 100000
-- @column app_id Application
-- @column video_id The video
-- @column channel_id The channel that most of its events name; NULL if none does
-- @column title The title that was sent last
-- @column thumbnail_url The picture that was sent last
-- @column events Events that name the video
-- @test unique(app_id, video_id)
-- @test not_null(app_id, video_id)
WITH named AS (
    SELECT
        coalesce(app_id, 'unknown') AS app_id,
        properties->>'$.video_id' AS video_id,
        nullif(nullif(properties->>'$.channel_id', ''), 'global') AS channel_id,
        nullif(properties->>'$.title', '') AS title,
        nullif(properties->>'$.thumbnail_url', '') AS thumbnail_url,
        "at",
        event_id
    FROM events
    WHERE (properties->>'$.video_id') <> ''
),
channels AS (
    SELECT app_id, video_id, channel_id, count(*) AS events
    FROM named
    WHERE channel_id IS NOT NULL
    GROUP BY ALL
),
most_named AS (
    SELECT app_id, video_id, first(channel_id ORDER BY events DESC, channel_id) AS channel_id
    FROM channels
    GROUP BY ALL
),
newest AS (
    SELECT
        app_id,
        video_id,
        last(title ORDER BY "at", event_id) FILTER (WHERE title IS NOT NULL) AS title,
        last(thumbnail_url ORDER BY "at", event_id)
            FILTER (WHERE thumbnail_url IS NOT NULL) AS thumbnail_url,
        count(*) AS events
    FROM named
    GROUP BY ALL
)
SELECT app_id, video_id, channel_id, title, thumbnail_url, events
FROM newest LEFT JOIN most_named USING (app_id, video_id)
ORDER BY app_id, video_id;
