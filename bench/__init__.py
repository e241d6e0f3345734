"""`make bench`: cost of answers and syncs, next to the alternatives.

| module | content |
|---|---|
| `answers`, `ranges`, `serving`, `growth`, `sync` | the five parts: measure, tabulate, check targets |
| `cases`, `data` | what is computed, and the sample that it is computed from |
| `ours`, `duck`, `plain`, `decode` | the engines that compute every case |
| `worker`, `sync_worker`, `clients`, `server` | the processes that are measured |
| `report`, `chart`, `targets`, `machine` | tables, pictures, bounds, and the machine |
"""
