"""The desk's tables."""

from trading.models.account import Account, AccountSnapshot
from trading.models.cycle import Cycle, StepRun, WorkflowExecution
from trading.models.decision import Analysis, Decision, RiskVerdict
from trading.models.market import Instrument, Session
from trading.models.order import Fill, Order, OrderChange, Trade
from trading.models.strategy import RiskProfile, Strategy
from trading.models.workflow import Workflow, WorkflowVersion

__all__ = [
    "Account",
    "AccountSnapshot",
    "Analysis",
    "Cycle",
    "Decision",
    "Fill",
    "Instrument",
    "Order",
    "OrderChange",
    "RiskProfile",
    "RiskVerdict",
    "Session",
    "StepRun",
    "Strategy",
    "Trade",
    "Workflow",
    "WorkflowExecution",
    "WorkflowVersion",
]
