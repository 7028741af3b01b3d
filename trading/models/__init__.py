"""The desk's tables."""

from trading.models.account import Account, AccountSnapshot
from trading.models.approval import Approval, ApprovalVote, Dispatch
from trading.models.cycle import Cycle, StepRun, WorkflowExecution
from trading.models.decision import Analysis, Decision, RiskVerdict
from trading.models.discrepancy import Discrepancy, Reconciliation
from trading.models.market import Instrument, Session
from trading.models.order import Fill, Order, OrderChange, Trade
from trading.models.request import OrderRequest
from trading.models.strategy import RiskProfile, RiskProfileVersion, Strategy
from trading.models.workflow import Workflow, WorkflowVersion

__all__ = [
    "Account",
    "AccountSnapshot",
    "Analysis",
    "Approval",
    "ApprovalVote",
    "Cycle",
    "Decision",
    "Discrepancy",
    "Dispatch",
    "Fill",
    "Instrument",
    "Order",
    "OrderChange",
    "OrderRequest",
    "Reconciliation",
    "RiskProfile",
    "RiskProfileVersion",
    "RiskVerdict",
    "Session",
    "StepRun",
    "Strategy",
    "Trade",
    "Workflow",
    "WorkflowExecution",
    "WorkflowVersion",
]
