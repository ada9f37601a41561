"""Pages about what people are told."""

from django.urls import path

from accounts import notice_views

app_name = "notices"

urlpatterns = [
    path("profile/notifications/", notice_views.save_switches, name="switches"),
    path("w/<slug:slug>/notices/", notice_views.notice_list, name="list"),
    path("w/<slug:slug>/notices/read/", notice_views.read_all, name="read_all"),
    path("w/<slug:slug>/notices/<uuid:notice_id>/", notice_views.open_notice, name="open"),
    path("w/<slug:slug>/notices/<uuid:notice_id>/read/", notice_views.read_one, name="read"),
]
