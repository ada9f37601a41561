import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_audit_ends_with_its_last_word'),
        ('connections', '0004_keyed_by_workspace'),
    ]

    operations = [
        migrations.AlterField(
            model_name='socialconnection',
            name='workspace',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='connections', to='accounts.workspace'),
        ),
    ]
