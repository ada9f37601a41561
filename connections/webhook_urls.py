"""Where platforms post their webhooks: one address for each provider, which an operator registers there."""

from django.urls import path

from connections import webhook_views

urlpatterns = [path("<slug:provider>/", webhook_views.receive, name="webhook")]
