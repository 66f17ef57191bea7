/* audit/query_filter.h - which of the conditions that an auditor names does a record fulfil? Thread: any. */
#ifndef AUDIT_QUERY_FILTER_H
#define AUDIT_QUERY_FILTER_H

#include "audit/audit.h"
#include "audit/spool_format.h"

/* The conditions that are given, a bit each. */
uint32_t query_given(const struct audit_filter *f);

/* Those of them that the record fulfils. any: all are looked at; else it stops at the first that fails. */
uint32_t query_held(const struct audit_filter *f, const struct spool_rec *rec, bool any);

#endif
