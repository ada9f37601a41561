from django.db import migrations

from accounts.row_security import define_functions, protect


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_end_old_sessions")]

    operations = [
        define_functions(),
        protect("accounts_membership", own="user_id = (SELECT app_user())"),
        protect(
            "accounts_workspace",
            rule="id = (SELECT app_workspace())",
            own="id IN (SELECT workspace_id FROM accounts_membership WHERE user_id = (SELECT app_user()))",
        ),
        protect("accounts_invitation"),
        protect("accounts_notice", own="user_id = (SELECT app_user())"),
        protect("accounts_auditevent"),
        protect("accounts_workspaceexport"),
    ]
