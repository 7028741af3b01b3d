"""The addresses below /api/; whatever stands here not is answered 404 in the envelope."""

from __future__ import annotations

from django.urls import path, re_path

from autotrader.core.rest.views import UnknownEndpoint
from trading.api.approvals import ApprovalEndpoint, ApprovalsEndpoint, ApproveEndpoint, RejectEndpoint
from trading.api.halt import HaltEndpoint, ReleaseEndpoint
from trading.api.orders import CancelEndpoint, ModifyEndpoint, PlaceEndpoint, PreviewEndpoint, StatusEndpoint

urlpatterns = [
    path("approvals", ApprovalsEndpoint.as_view(), name="api_approvals"),
    path("approvals/<int:pk>", ApprovalEndpoint.as_view(), name="api_approval"),
    path("approvals/<int:pk>/approve", ApproveEndpoint.as_view(), name="api_approval_approve"),
    path("approvals/<int:pk>/reject", RejectEndpoint.as_view(), name="api_approval_reject"),
    path("halt", HaltEndpoint.as_view(), name="api_halt"),
    path("halt/release", ReleaseEndpoint.as_view(), name="api_halt_release"),
    path("orders/place", PlaceEndpoint.as_view(), name="api_order_place"),
    path("orders/preview", PreviewEndpoint.as_view(), name="api_order_preview"),
    path("orders/<str:order_ref>/cancel", CancelEndpoint.as_view(), name="api_order_cancel"),
    path("orders/<str:order_ref>/modify", ModifyEndpoint.as_view(), name="api_order_modify"),
    path("orders/<str:order_ref>/status", StatusEndpoint.as_view(), name="api_order_status"),
    re_path(r"^", UnknownEndpoint.as_view()),
]
