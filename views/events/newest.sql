-- @name newest_events
-- @type report
-- @description The events that arrived last.
-- @param limit integer 50 1..1000
-- | Number of events
-- @param name text null
-- | Only events with this name
-- @order received_at desc, event_id desc
-- @unit properties json
-- @column received_at When it arrived
-- @column at When it happened
-- @column name What happened
-- @column user_id Who did it
-- @column app_id Which product sent it
-- @column source Which part of it
-- @column properties Its properties, a JSON object
-- @column event_id Its id
SELECT received_at, "at", name, user_id, app_id, source, properties::JSON AS properties, event_id
FROM events
WHERE $name IS NULL OR name = $name
ORDER BY received_at DESC, event_id DESC
LIMIT $limit;
