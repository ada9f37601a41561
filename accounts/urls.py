"""Pages about people and workspaces. Log-in, sign-up and the like are allauth's, under /accounts/."""

from django.urls import path

from accounts import views

urlpatterns = [
    path("", views.home, name="home"),
    path("profile/", views.profile, name="profile"),
    path("workspaces/", views.workspace_list, name="workspace_list"),
    path("w/<slug:slug>/", views.workspace_open, name="workspace_open"),
    path("w/<slug:slug>/settings/", views.workspace_settings, name="workspace_settings"),
    path("w/<slug:slug>/members/", views.workspace_members, name="workspace_members"),
    path("w/<slug:slug>/members/<uuid:membership_id>/role/", views.member_role, name="member_role"),
    path("w/<slug:slug>/members/<uuid:membership_id>/remove/", views.member_remove, name="member_remove"),
]
