-- @name events_export
-- @type report
-- @description All events, or some of them.
-- | The oldest first. In JSON the payload is an object, else its text.
-- @param start_date date null
-- | First day, in UTC
-- @param end_date date null
-- | Last day, in UTC
-- @param event_type text null
-- | Only events with this name
-- @param user_id text null
-- | Only events of this user, as it is stored
-- @route /api/analytics/reports/events
-- @zone UTC
-- @order ts, id
-- @unit payload json
-- @column ts When it happened
-- @column user_id Who did it
-- @column type What happened
-- @column src Which part of the product sent it
-- @column id Its id
-- @column payload Its properties, a JSON object
SELECT
    "at" AS ts,
    user_id,
    name AS type,
    source AS src,
    event_id AS id,
    properties::JSON AS payload
FROM events
WHERE ($start_date IS NULL OR "at" >= $start_date::TIMESTAMPTZ)
    AND ($end_date IS NULL OR "at" < ($end_date + 1)::TIMESTAMPTZ)
    AND ($event_type IS NULL OR name = $event_type)
    AND ($user_id IS NULL OR user_id = $user_id)
ORDER BY ts, id;
