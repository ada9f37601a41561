"""Under /accounts/. allauth finds some of them by these names."""

from django.urls import path

from connections.sign_in import views

urlpatterns = [
    path("tiktok/login/", views.login, name="tiktok_login"),
    path("tiktok/link/", views.link, name="tiktok_link"),
    path("tiktok/callback/", views.callback, name="tiktok_callback"),
    path("tiktok/signup/", views.signup, name="socialaccount_signup"),
    path("sign-in-methods/", views.methods, name="socialaccount_connections"),
]
