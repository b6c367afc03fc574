//! A table as queries of a person see it: LanceDB is handed only conditions that cannot fail.
//!
//! It tries the conditions of a scan on any row, also on those that the scope leaves out. One that fails there, such as
//! `1 / (CASE WHEN response LIKE '%secret%' THEN 0 ELSE 1 END) = 1`, would tell what others have said.

use std::sync::Arc;

use async_trait::async_trait;
use lancedb::arrow::arrow_schema::SchemaRef;
use lancedb::datafusion::catalog::{Session, TableProvider};
use lancedb::datafusion::error::Result;
use lancedb::datafusion::logical_expr::{
    BinaryExpr, Expr, Like, Operator, TableProviderFilterPushDown, TableType,
};
use lancedb::datafusion::physical_plan::ExecutionPlan;
use lancedb::table::datafusion::BaseTableAdapter;

/// Is a table of LanceDB that is asked carefully.
#[derive(Debug)]
pub struct Careful(pub BaseTableAdapter);

#[async_trait]
impl TableProvider for Careful {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        self.0.table_type()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.0.scan(state, projection, filters, limit).await
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let mut supports = self.0.supports_filters_pushdown(filters)?;
        for (filter, supports) in filters.iter().zip(&mut supports) {
            if !cannot_fail(filter) {
                *supports = TableProviderFilterPushDown::Unsupported;
            }
        }
        Ok(supports)
    }
}

/// Returns whether a condition only compares columns and constants.
fn cannot_fail(condition: &Expr) -> bool {
    match condition {
        Expr::Column(_) | Expr::Literal(..) => true,
        Expr::Not(inner)
        | Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner) => cannot_fail(inner),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let compares = matches!(
                op,
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::And
                    | Operator::Or
            );
            compares && cannot_fail(left) && cannot_fail(right)
        }
        Expr::Between(between) => {
            let parts = [&between.expr, &between.low, &between.high];
            parts.into_iter().all(|part| cannot_fail(part))
        }
        Expr::InList(list) => cannot_fail(&list.expr) && list.list.iter().all(cannot_fail),
        Expr::Like(Like { expr, pattern, .. }) => {
            cannot_fail(expr) && matches!(**pattern, Expr::Literal(..))
        }
        _ => false,
    }
}
