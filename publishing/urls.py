"""Pages about posts."""

from django.urls import path

from publishing import (
    action_views,
    composer_views,
    export_views,
    health_views,
    media_views,
    photo_views,
    pull_views,
    retention_views,
    views,
)
from publishing.metrics import metrics

app_name = "publishing"

urlpatterns = [
    path("w/<slug:slug>/posts/", views.post_list, name="post_list"),
    path("w/<slug:slug>/posts/new/", composer_views.post_create, name="post_create"),
    path("w/<slug:slug>/posts/new/photos/", photo_views.photo_post_create, name="photo_post_create"),
    path("w/<slug:slug>/posts/<uuid:post_id>/", views.post_detail, name="post_detail"),
    path(
        "w/<slug:slug>/deliveries/<uuid:delivery_id>/retry/",
        action_views.delivery_retry,
        name="delivery_retry",
    ),
    path(
        "w/<slug:slug>/deliveries/<uuid:delivery_id>/cancel/",
        action_views.delivery_cancel,
        name="delivery_cancel",
    ),
    path(
        "w/<slug:slug>/deliveries/<uuid:delivery_id>/posted/",
        action_views.delivery_posted,
        name="delivery_posted",
    ),
    path("profile/data/<uuid:export_id>/", export_views.personal_download, name="personal_export"),
    path(
        "w/<slug:slug>/settings/data/<uuid:export_id>/",
        export_views.workspace_download,
        name="workspace_export",
    ),
    path(
        "w/<slug:slug>/settings/source-videos/",
        retention_views.source_retention,
        name="source_retention",
    ),
    path("w/<slug:slug>/health/", health_views.workspace_health, name="health"),
    path("metrics", metrics, name="metrics"),
    path("operations/health/", health_views.operations, name="operations"),
    path("w/<slug:slug>/videos/<uuid:video_id>/file/", media_views.video_file, name="video_file"),
    path("w/<slug:slug>/videos/<uuid:video_id>/poster/", media_views.video_poster, name="video_poster"),
    path("w/<slug:slug>/photos/<uuid:photo_id>/file/", media_views.photo_file, name="photo_file"),
    path("media/pull/<str:token>/<str:name>", pull_views.pull_media, name="pull_media"),
]
