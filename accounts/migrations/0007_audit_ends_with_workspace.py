from django.db import migrations

# The events of a workspace that is gone may go after it; nothing else ever. Whoever wants to hide a deed in a workspace
# would have to remove the workspace itself, and even then the event that says so stays. Row-level security shows the
# function a workspace wherever it shows the statement that workspace's events.
ENDS_WITH_WORKSPACE = """
CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.workspace_id IS NOT NULL AND OLD.action <> 'workspace.removed'
           AND NOT EXISTS (SELECT FROM accounts_workspace WHERE id = OLD.workspace_id) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
"""
NEVER_ENDS = """
CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_row_security")]

    operations = [migrations.RunSQL(ENDS_WITH_WORKSPACE, NEVER_ENDS)]
