"""The fields of placeOrder in their order, by the names under which they are kept and echoed."""

from __future__ import annotations

from broker.paper_gateway.wire import versions


def names(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


CONTRACT = names(
    "con_id symbol sec_type expiry strike right multiplier exchange primary_exchange currency local_symbol "
    "trading_class sec_id_type sec_id"
)
HEAD = names(
    "action quantity order_type limit_price aux_price tif oca_group account open_close origin order_ref transmit "
    "parent_id block_order sweep_to_fill display_size trigger_method outside_rth hidden"
)
MIDDLE = names(
    "shares_allocation discretionary_amount good_after_time good_till_date fa_group fa_method fa_percentage fa_profile "
    "model_code short_sale_slot designated_location exempt_code oca_type rule_80a settling_firm all_or_none "
    "min_quantity percent_offset e_trade_only firm_quote_only nbbo_price_cap auction_strategy starting_price "
    "stock_ref_price delta stock_range_lower stock_range_upper override_percentage_constraints volatility "
    "volatility_type delta_neutral_order_type delta_neutral_aux_price"
)
DELTA_NEUTRAL = names(
    "delta_neutral_con_id delta_neutral_settling_firm delta_neutral_clearing_account delta_neutral_clearing_intent "
    "delta_neutral_open_close delta_neutral_short_sale delta_neutral_short_sale_slot delta_neutral_designated_location"
)
SCALE = names(
    "continuous_update reference_price_type trail_stop_price trailing_percent scale_init_level_size "
    "scale_subs_level_size scale_price_increment"
)
SCALE_DETAILS = names(
    "scale_price_adjust_value scale_price_adjust_interval scale_profit_offset scale_auto_reset scale_init_position "
    "scale_init_fill_quantity scale_random_percent"
)
TIMES = ["scale_table", "active_start_time", "active_stop_time", "hedge_type"]
CLEARING = ["opt_out_smart_routing", "clearing_account", "clearing_intent", "not_held"]
FLAGS = ["algo_id", "what_if", "misc_options", "solicited", "randomize_size", "randomize_price"]
PEG_BENCH = names(
    "reference_contract_id pegged_change_amount_decrease pegged_change_amount reference_change_amount "
    "reference_exchange_id"
)
TAIL = names(
    "adjusted_order_type trigger_price limit_price_offset adjusted_stop_price adjusted_stop_limit_price "
    "adjusted_trailing_amount adjustable_trailing_unit ext_operator soft_dollar_name soft_dollar_value cash_quantity "
    "mifid_decision_maker mifid_decision_algo mifid_execution_trader mifid_execution_algo "
    "dont_use_auto_price_for_hedge is_oms_container discretionary_up_to_limit_price use_price_mgmt_algo"
)
GATED = (
    (versions.DURATION, "duration"),
    (versions.POST_TO_ATS, "post_to_ats"),
    (versions.AUTO_CANCEL_PARENT, "auto_cancel_parent"),
    (versions.ADVANCED_REJECT, "advanced_error_override"),
    (versions.MANUAL_ORDER_TIME, "manual_order_time"),
)
CONDITION_FIELDS = {1: 6, 3: 3, 4: 3, 5: 4, 6: 5, 7: 5}
OFFSETS = ["mid_offset_at_whole", "mid_offset_at_half"]

TYPED = names(
    "con_id symbol action quantity order_type limit_price aux_price tif account order_ref oca_group oca_type parent_id "
    "transmit outside_rth what_if trail_stop_price trailing_percent limit_price_offset"
)

# What would change when or how an order executes, and is not simulated: better refused than ignored.
REFUSED_IF_SET = {
    "conditions": "conditions",
    "algo_strategy": "algorithms",
    "hedge_type": "attached hedge orders",
    "delta_neutral_contract": "delta-neutral orders",
    "delta_neutral_order_type": "delta-neutral orders",
    "adjusted_order_type": "adjustable stops",
    "fa_group": "advisor allocations",
    "fa_method": "advisor allocations",
    "fa_profile": "advisor allocations",
    "active_start_time": "an active start time",
    "active_stop_time": "an active stop time",
}
REFUSED_IF_POSITIVE = {
    "scale_price_increment": "scale orders",
    "discretionary_amount": "discretionary amounts",
    "min_quantity": "a minimum quantity",
    "cash_quantity": "cash quantities",
    "all_or_none": "all-or-none",
}
# Fields that are echoed to clients, which drop a whole message over one that is no number.
ECHOED_NUMBERS = names("starting_price stock_ref_price delta stock_range_lower stock_range_upper percent_offset")
ECHOED_INTEGERS = names(
    "hidden short_sale_slot exempt_code display_size sweep_to_fill block_order trigger_method opt_out_smart_routing "
    "not_held solicited randomize_size randomize_price use_price_mgmt_algo"
)
# Which of limit and auxiliary price an order type reads; others may carry left-overs of what they were before.
PRICES_READ = {
    "MKT": (False, False),
    "MOC": (False, False),
    "LMT": (True, False),
    "LOC": (True, False),
    "STP": (False, True),
    "MIT": (False, True),
    "TRAIL": (False, True),
}
TRAILING = ("TRAIL", "TRAIL LIMIT")
