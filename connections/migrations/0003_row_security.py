from django.db import migrations

from accounts.row_security import SYSTEM_ONLY, protect


class Migration(migrations.Migration):
    dependencies = [("connections", "0002_webhook_event"), ("accounts", "0006_row_security")]

    operations = [
        protect("social_connections"),
        protect("oauth_requests"),
        protect("webhook_events", rule=SYSTEM_ONLY),
    ]
