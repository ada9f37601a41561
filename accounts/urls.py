"""Pages about people and workspaces. Log-in, sign-up and the like are allauth's, under /accounts/."""

from django.urls import path

from accounts import (
    account_removal_views,
    audit_views,
    invitation_views,
    personal_data_views,
    session_views,
    team_views,
    views,
)

urlpatterns = [
    path("", views.home, name="home"),
    path("profile/", views.profile, name="profile"),
    path("accounts/sessions/<int:session_id>/end/", session_views.end_session, name="session_end"),
    path("profile/delete/", account_removal_views.account_delete, name="account_delete"),
    path("profile/data/", personal_data_views.personal_data, name="personal_data"),
    path("profile/data/cancel/", personal_data_views.personal_export_cancel, name="personal_export_cancel"),
    path("workspaces/", views.workspace_list, name="workspace_list"),
    path("w/<slug:slug>/", views.workspace_open, name="workspace_open"),
    path("w/<slug:slug>/settings/", views.workspace_settings, name="workspace_settings"),
    path("w/<slug:slug>/members/", views.workspace_members, name="workspace_members"),
    path("w/<slug:slug>/members/<uuid:membership_id>/role/", views.member_role, name="member_role"),
    path("w/<slug:slug>/members/<uuid:membership_id>/remove/", views.member_remove, name="member_remove"),
    path("w/<slug:slug>/members/invite/", invitation_views.invite, name="invite"),
    path(
        "w/<slug:slug>/invitations/<uuid:invitation_id>/resend/",
        invitation_views.resend,
        name="invitation_resend",
    ),
    path(
        "w/<slug:slug>/invitations/<uuid:invitation_id>/revoke/",
        invitation_views.revoke,
        name="invitation_revoke",
    ),
    path("w/<slug:slug>/settings/transfer/", team_views.workspace_transfer, name="workspace_transfer"),
    path("w/<slug:slug>/settings/delete/", team_views.workspace_delete, name="workspace_delete"),
    path("w/<slug:slug>/settings/restore/", team_views.workspace_restore, name="workspace_restore"),
    path("w/<slug:slug>/settings/data/", personal_data_views.workspace_data, name="workspace_data"),
    path(
        "w/<slug:slug>/settings/data/cancel/",
        personal_data_views.workspace_export_cancel,
        name="workspace_export_cancel",
    ),
    path("w/<slug:slug>/audit/", audit_views.audit_list, name="audit"),
    path("w/<slug:slug>/audit/export/", audit_views.audit_export, name="audit_export"),
    path("invitation/", invitation_views.answer, name="invitation"),
    path("invitation/<str:token>/", invitation_views.open_link, name="invitation_open"),
]
