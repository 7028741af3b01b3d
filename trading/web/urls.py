"""The addresses of the pages outside the admin."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from trading.web import approvals, halt

urlpatterns = [
    path("login/", LoginView.as_view(template_name="web/login.html", next_page="approvals"), name="login"),
    path("logout/", LogoutView.as_view(next_page="login"), name="logout"),
    path("halt/", halt.halt_page, name="halt"),
    path("halt/now/", halt.halt_now, name="halt_now"),
    path("approvals/", approvals.approval_list, name="approvals"),
    path("approvals/<int:pk>/", approvals.approval_page, name="approval"),
    path("approvals/<int:pk>/now/", approvals.approval_now, name="approval_now"),
    path("approvals/<int:pk>/chart/<int:analysis>.png", approvals.approval_chart, name="approval_chart"),
]
