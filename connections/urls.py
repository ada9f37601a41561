"""Pages of connections. The callback has one address for all workspaces, since platforms want it registered."""

from django.urls import path

from connections import views

app_name = "connections"

urlpatterns = [
    path("connections/<slug:provider>/callback/", views.callback, name="callback"),
    path("connections/<slug:provider>/help/", views.connect_help, name="help"),
    path("w/<slug:slug>/connections/", views.connection_list, name="list"),
    path("w/<slug:slug>/connections/connect/<slug:provider>/", views.connect, name="connect"),
    path("w/<slug:slug>/connections/<uuid:pk>/connected/", views.connected, name="connected"),
    path("w/<slug:slug>/connections/<uuid:pk>/avatar/", views.avatar, name="avatar"),
    path("w/<slug:slug>/connections/<uuid:pk>/label/", views.edit_label, name="label"),
    path("w/<slug:slug>/connections/<uuid:pk>/primary/", views.make_primary, name="primary"),
    path("w/<slug:slug>/connections/<uuid:pk>/test/", views.test, name="test"),
    path("w/<slug:slug>/connections/<uuid:pk>/refresh/", views.refresh_profile, name="refresh"),
    path("w/<slug:slug>/connections/<uuid:pk>/disconnect/", views.disconnect, name="disconnect"),
]
