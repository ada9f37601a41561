import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_audit_ends_with_its_last_word'),
        ('publishing', '0007_kept_together'),
    ]

    operations = [
        migrations.AlterField(
            model_name='delivery',
            name='workspace',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='accounts.workspace'),
        ),
        migrations.AlterField(
            model_name='post',
            name='workspace',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='posts', to='accounts.workspace'),
        ),
        migrations.AlterField(
            model_name='video',
            name='workspace',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='videos', to='accounts.workspace'),
        ),
    ]
