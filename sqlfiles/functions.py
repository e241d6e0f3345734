"""The functions of DuckDB that people's queries may call, reviewed one by one.

A function is allowed if its result depends on its arguments alone, or on a random
number or the clock, which a session binds. It must not read files, settings, variables,
the catalogue or another session, and have no effect. What takes time or memory may be
allowed: the process of a query has limits of its own. A function in neither list is
refused, and a test fails until somebody has reviewed it.
"""

import re
from typing import Final

_OPERATORS: Final = """
!= !~~ !~~* % & && * ** + - ->> -> / // < <-> << <= <=> <@ = > >= >> @ @> ! ^ ^@ | || ~
~~ ~~* ~~~ !__postfix
"""

_NUMBERS: Final = """
abs acos acosh add asin asinh atan atan2 atanh bin binom bit_count bit_length
bit_position bitstring cbrt ceil ceiling cos cosh cot decimal_division degrees divide
even exp factorial fdiv floor fmod gamma gcd greatest greatest_common_divisor isfinite
isinf isnan lcm least least_common_multiple lgamma ln log log10 log2 mod multiply
nextafter pi pow power radians random round round_even roundbankers set_bit get_bit sign
signbit sin sinh sqrt subtract tan tanh trunc to_base xor
"""

_TEXTS: Final = """
ascii bar base64 char_length character_length chr concat concat_ws contains
damerau_levenshtein decode editdist3 encode ends_with format format_bytes
formatreadabledecimalsize formatreadablesize from_base64 from_binary from_hex hamming hash
hex ilike_escape instr jaccard jaro_similarity jaro_winkler_similarity lcase left
left_grapheme len length length_grapheme levenshtein like_escape lower lpad ltrim md5
md5_number md5_number_lower md5_number_upper mismatches nfc_normalize not_ilike_escape
not_like_escape octet_length ord overlay parse_dirname parse_dirpath parse_filename
parse_formatted_bytes parse_path path_join pg_size_pretty position prefix printf
regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches
regexp_replace regexp_split_to_array regexp_split_to_table repeat replace reverse right
right_grapheme rpad rtrim sha1 sha256 split split_part starts_with str_split
str_split_regex string_split string_split_regex string_to_array strip_accents strlen
strpos substr substring substring_grapheme suffix to_base64 to_binary to_hex translate
trim ucase unbin unhex unicode upper url_decode url_encode
"""

_TIMES: Final = """
age century current_date current_localtimestamp current_timestamp date_add date_diff
date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth
dayofweek dayofyear days_in_month decade epoch epoch_ms epoch_ns epoch_us era
get_current_timestamp hour isodow isoyear julian last_day localtimestamp make_date
make_time make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz microsecond
millennium millisecond minute month monthname nanosecond normalized_interval now quarter
second strftime strptime time_bucket timezone timezone_hour timezone_minute to_centuries
to_days to_decades to_hours to_microseconds to_millennia to_milliseconds to_minutes
to_months to_quarters to_seconds to_timestamp to_weeks to_years today
transaction_timestamp try_strptime week weekday weekofyear year yearweek
"""

_NESTED: Final = """
aggregate apply array_aggr array_aggregate array_append array_apply array_cat
array_concat array_contains array_cosine_distance array_cosine_similarity
array_cross_product array_distance array_distinct array_dot_product array_extract
array_filter array_grade_up array_has array_has_all array_has_any array_indexof
array_inner_product array_intersect array_length array_negative_dot_product
array_negative_inner_product array_pop_back array_pop_front array_position array_prepend
array_push_back array_push_front array_reduce array_resize array_reverse
array_reverse_sort array_select array_slice array_sort array_to_json array_to_string
array_to_string_comma_default array_transform array_unique array_value array_where
array_zip cardinality element_at equi_width_bins filter flatten generate_series
generate_subscripts grade_up list_aggr list_aggregate list_any_value list_append
list_apply list_approx_count_distinct list_avg list_bit_and list_bit_or list_bit_xor
list_bool_and list_bool_or list_cat list_concat list_contains list_cosine_distance
list_cosine_similarity list_count list_distance list_distinct list_dot_product
list_element list_entropy list_extract list_filter list_first list_grade_up list_has
list_has_all list_has_any list_histogram list_indexof list_inner_product list_intersect
list_kurtosis list_kurtosis_pop list_last list_mad list_max list_median list_min
list_mode list_negative_dot_product list_negative_inner_product list_pack list_position
list_prepend list_product list_reduce list_resize list_reverse list_reverse_sort
list_select list_sem list_skewness list_slice list_sort list_stddev_pop list_stddev_samp
list_string_agg list_sum list_transform list_unique list_value list_var_pop list_var_samp
list_where list_zip map map_concat map_contains map_contains_entry map_contains_value
map_entries map_extract map_extract_value map_from_entries map_keys map_values range
reduce row struct_concat struct_contains struct_extract struct_extract_at struct_has
struct_indexof struct_insert struct_keys struct_pack struct_position struct_update
struct_values union_extract union_tag union_value unnest unpivot_list
"""

_JSON: Final = """
from_json from_json_strict json json_array json_array_length json_contains
json_deep_merge json_each json_exists json_extract json_extract_path
json_extract_path_text json_extract_string json_group_array json_group_object
json_group_structure json_insert json_keys json_merge_patch json_merge_patch_diff
json_normalize json_object json_pretty json_quote json_remove json_replace json_set
json_strip_nulls json_structure json_transform json_transform_strict json_tree json_type
json_valid json_value row_to_json to_json
"""

_OTHERS: Final = """
alias constant_or_null enum_code enum_first enum_last enum_range enum_range_boundary error
gen_random_uuid if nullif pg_typeof switch typeof uuid uuid_extract_timestamp
uuid_extract_version uuidv4 uuidv7
"""

_AGGREGATES: Final = """
any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max
arg_max_null arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin
array_agg avg bit_and bit_or bit_xor bitstring_agg bool_and bool_or corr count count_if
count_star countif covar_pop covar_samp decimal_average entropy favg first fsum geomean
geometric_mean group_concat histogram histogram_exact is_histogram_other_bin kahan_sum
kurtosis kurtosis_pop last list listagg lttb mad max max_by mean median min min_by mode
product quantile quantile_cont quantile_disc regr_avgx regr_avgy regr_count
regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy reservoir_quantile sem
skewness stddev stddev_pop stddev_samp string_agg sum sum_no_overflow sumkahan var_pop
var_samp variance wavg weighted_avg
"""

_WINDOWS: Final = """
cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank
rank rank_dense row_number
"""

ALLOWED: Final = frozenset(
    name
    for group in (
        *(_OPERATORS, _NUMBERS, _TEXTS, _TIMES, _NESTED, _JSON, _OTHERS),
        *(_AGGREGATES, _WINDOWS),
    )
    for name in group.split()
) | {"is distinct from", "is not distinct from"}
"""Functions that queries may call, in lower case."""

_REFUSED_NAMES: Final = """
add_parquet_key ago arrow_scan arrow_scan_dumb assert_true bitstring_byte_comparable
can_cast_implicitly cast_to_type checkpoint col_description collations combine
combine_aggr copy_database create_external_resource create_sort_key
current_catalog current_connection_id current_database current_localtime current_query
current_query_id current_role current_schema current_schemas current_setting
current_transaction_id current_user currval database_list database_size
deregister_external_resource destroy_external_resource disable_checkpoint_on_shutdown
disable_logging disable_object_cache disable_optimizer disable_print_progress_bar
disable_profile disable_profiling disable_progress_bar disable_verification
disable_verify_parallelism enable_checkpoint_on_shutdown enable_logging
enable_object_cache enable_optimizer enable_print_progress_bar enable_profile
enable_profiling enable_progress_bar enable_verification extension_versions finalize
force_checkpoint format_pg_type format_type functions get_block_size get_current_time
get_type getenv getvariable glob hive_partition_component histogram_values
icu_calendar_names icu_sort_key import_database in_search_path index_key invoke
json_copy_strftime_if_date json_copy_strftime_if_timestamp json_deserialize_sql
json_execute_serialized_sql json_serialize_plan json_serialize_sql make_type
map_to_pg_oid metadata_info nextval obj_description pandas_scan platform
python_arrow_scan python_map_function query query_table register_external_resource
register_external_resource_type remap_struct repeat_row replace_type seq_scan
session_user setseed setval shobj_description show show_databases show_tables
show_tables_expanded sleep_ms sniff_csv stats storage_info summary table_info
test_all_types test_vector_types timetz_byte_comparable to_aggregate_state
truncate_duckdb_logs txid_current user user_agent vector_type verify_parallelism version
vertex_extract which_secret write_log
"""

_REFUSED_FAMILIES: Final = (
    r"__internal_\w+|__between|__cast",  # of the optimizer
    r"(icu_)?collate_\w+",  # COLLATE calls them itself
    r"duckdb_\w+|pragma_\w+|parse_duckdb_\w+",  # the catalogue, settings and logs
    r"parquet_\w+|read_\w+",  # files
    r"pg_(?!typeof$|size_pretty$)\w+|has_\w+|inet_\w+",  # PostgreSQL's catalogue and sessions
    r"st_\w+|variant_\w+",  # types that no table has
)

_REFUSED: Final = re.compile(
    "|".join((*_REFUSED_FAMILIES, *map(re.escape, _REFUSED_NAMES.split())))
)


def is_reviewed(name: str) -> bool:
    """True if somebody has decided about the function *name*, in lower case."""
    return name in ALLOWED or _REFUSED.fullmatch(name) is not None
