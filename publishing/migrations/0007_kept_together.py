from django.db import migrations

from accounts.row_security import keep_together, key_by_workspace


class Migration(migrations.Migration):
    dependencies = [("publishing", "0006_source_retention"), ("connections", "0004_keyed_by_workspace")]

    operations = [
        key_by_workspace("publishing_video"),
        key_by_workspace("publishing_post"),
        key_by_workspace("publishing_delivery"),
        keep_together("publishing_post", "video_id", "publishing_video"),
        keep_together("publishing_photo", "post_id", "publishing_post"),
        keep_together("publishing_delivery", "post_id", "publishing_post"),
        keep_together("publishing_delivery", "connection_id", "social_connections"),
        keep_together("publishing_attempt", "delivery_id", "publishing_delivery"),
    ]
