"""One-way notices to whoever depends on connections. Handlers run in the sender's transaction.

`connection_usable`: `connection` became active again; what waited for it may go on.
`connection_lost`: `connection` needs reconnecting or was disconnected; `reason` is for people.
`publish_reported`: the platform `provider` told something of the publish job `publish_id`, so that its status is worth
asking for. Handlers return how many of their rows belong to that job.
"""

from django.dispatch import Signal

connection_usable = Signal()
connection_lost = Signal()
publish_reported = Signal()
