-- @name events_export
-- @type report
-- @description All events, or some of them, with those of the old table.
-- | The oldest first. In JSON the payload is an object, else its text. Events of the old table
-- | are without their user: there, ids are stored as they were sent, and here as pseudonyms.
-- @param start_date date null
-- | First day, in UTC
-- @param end_date date null
-- | Last day, in UTC
-- @param event_type text null
-- | Only events of this type
-- @param user_id text null
-- | Only events of this user, as it is stored
-- @route /api/analytics/reports/events
-- @zone UTC
-- @order ts, id
-- @unit payload json
-- @column ts When it happened
-- @column user_id Who did it, as a pseudonym
-- @column type What happened
-- @column src Which part of the product sent it
-- @column id Its id; that of the old table begins with `history-`
-- @column payload Its properties, a JSON object
WITH every_event AS (
    SELECT
        "at" AS ts,
        user_id,
        name AS type,
        source AS src,
        event_id AS id,
        properties::JSON AS payload
    FROM events
    UNION ALL
    SELECT ts, NULL, type, src, 'history-' || id, payload::JSON
    FROM "public.events"
)
SELECT ts, user_id, type, src, id, payload
FROM every_event
WHERE ($start_date IS NULL OR ts >= $start_date::TIMESTAMPTZ)
    AND ($end_date IS NULL OR ts < ($end_date + 1)::TIMESTAMPTZ)
    AND ($event_type IS NULL OR type = $event_type)
    AND ($user_id IS NULL OR user_id = $user_id)
ORDER BY ts, id;
