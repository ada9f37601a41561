from django.db import migrations

from accounts.row_security import key_by_workspace


class Migration(migrations.Migration):
    dependencies = [("connections", "0003_row_security")]

    operations = [key_by_workspace("social_connections")]
