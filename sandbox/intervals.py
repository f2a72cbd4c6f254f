# SPDX-License-Identifier: Apache-2.0

"""Every interval that differs from a service's default, with the reason.

A person watches this cloud and a test waits for it, so what polls once a
minute in production polls every few seconds here. All values are seconds.
"""

# Aodh looks at an alarm once a minute by default. The shortest archive policy
# here keeps one point every 5 s, so looking more often would see nothing new.
AODH_EVALUATION = 5

# Aodh looks back for one period more than it compares. For the difference of
# two periods of 5 s that is too little as soon as a measure is late.
AODH_INGESTION_LAG = 20

# Prometheus asks what it watches once a minute by default, and Nova, what
# there is to watch, as often. It gives Nova no longer to answer than that.
PROMETHEUS_SCRAPE = 1
PROMETHEUS_DISCOVERY = 5

# Gnocchi aggregates new measures once a minute by default; the evaluation
# above is to find the latest point.
GNOCCHI_METRIC_PROCESSING = 1

# The archive policy "fast" made for the tenant; Gnocchi's own shortest one
# ("high") keeps a point a second and costs twelve times as much.
GNOCCHI_FAST_GRANULARITY = 5

# Nova reports its state every 10 s and is "down" after 60 s by default. A
# scheduler that waits for the first report refuses the first server.
NOVA_SERVICE_REPORT = 5
NOVA_SERVICE_DOWN = 30

# Nova's periodic tasks, among them the one that notices guests that died.
NOVA_SYNC_POWER_STATE = 30
