//! Scripts: formulas with statements, and functions of the author's own. Every expression inside is rewritten, so that
//! operators mean the same as in a plain formula.

use std::sync::Arc;

use rhai::{AST, ASTNode, BinaryExpr, Expr, FlowControl, OpAssignment, Position, Stmt, StmtBlock};

use super::{AuthorName, Lowering, Problem};
use crate::emit::to_expr;
use crate::names::FormulaContext;
use crate::node::{Node, Operator};
use crate::runtime::{AuthorFunction, custom, key};

impl Lowering<'_> {
    /// Statements as one expression that only Rhai can run.
    pub(super) fn lower_script(&mut self, statements: &[Stmt]) -> Node {
        let at = statements.first().map_or(Position::NONE, Stmt::position);
        let block = self.block(statements, at);
        Node::Opaque(Box::new(Expr::Stmt(Box::new(block))))
    }

    fn block(&mut self, statements: &[Stmt], at: Position) -> StmtBlock {
        let statements_before = statements
            .split_last()
            .map_or(&[][..], |(_, before)| before);
        for lost in statements_before.iter().filter(|one| is_lost(one)) {
            self.problem(
                lost.position(),
                "nothing is done with this: the value of a formula is that of its last part",
                "join conditions with `&&` or `||`, or leave this part out",
            );
        }
        let rewritten: Vec<Stmt> = statements.iter().map(|one| self.statement(one)).collect();
        StmtBlock::new(rewritten, at, Position::NONE)
    }

    fn flow(&mut self, flow: &FlowControl, keeps_head: bool) -> Box<FlowControl> {
        Box::new(FlowControl {
            expr: if keeps_head {
                flow.expr.clone()
            } else {
                self.rewrite(&flow.expr)
            },
            body: self.block(flow.body.statements(), flow.body.position()),
            branch: self.block(flow.branch.statements(), flow.branch.position()),
        })
    }

    fn statement(&mut self, statement: &Stmt) -> Stmt {
        match statement {
            Stmt::Noop(at) => Stmt::Noop(*at),
            Stmt::If(flow, at) => Stmt::If(self.flow(flow, false), *at),
            // The head of an endless `loop` is `()`, which stays what it is.
            Stmt::While(flow, at) => {
                let endless = matches!(flow.expr, Expr::Unit(_));
                Stmt::While(self.flow(flow, endless), *at)
            }
            Stmt::Do(flow, flags, at) => Stmt::Do(self.flow(flow, false), *flags, *at),
            Stmt::For(parts, at) => {
                let (name, counter, flow) = &**parts;
                let flow = self.flow(flow, false);
                Stmt::For(Box::new((name.clone(), counter.clone(), *flow)), *at)
            }
            Stmt::Var(parts, flags, at) => {
                let (name, value, index) = &**parts;
                let value = self.rewrite(value);
                Stmt::Var(Box::new((name.clone(), value, *index)), *flags, *at)
            }
            Stmt::Assignment(parts) => self.assignment(&parts.0, &parts.1),
            Stmt::FnCall(call, at) => {
                let node = self.lower_call(call, *at);
                Stmt::Expr(Box::new(to_expr(&node)))
            }
            Stmt::Block(block) => {
                Stmt::Block(Box::new(self.block(block.statements(), block.position())))
            }
            // The head of `catch` is the variable that takes the error.
            Stmt::TryCatch(flow, at) => Stmt::TryCatch(self.flow(flow, true), *at),
            Stmt::Expr(expr) => Stmt::Expr(Box::new(self.rewrite(expr))),
            Stmt::BreakLoop(value, flags, at) => {
                Stmt::BreakLoop(self.maybe(value.as_deref()), *flags, *at)
            }
            Stmt::Return(value, flags, at) => {
                Stmt::Return(self.maybe(value.as_deref()), *flags, *at)
            }
            Stmt::Switch(_, at) => {
                self.problem(
                    *at,
                    "`switch` is not part of formulas",
                    "write `if … else if …`",
                );
                Stmt::Noop(*at)
            }
            other => {
                self.problem(other.position(), "this cannot stand in a formula", "");
                Stmt::Noop(other.position())
            }
        }
    }

    fn maybe(&mut self, value: Option<&Expr>) -> Option<Box<Expr>> {
        value.map(|value| Box::new(self.rewrite(value)))
    }

    /// `a = b` and `a += b`, which becomes `a = a + b` so that `+` means what it means everywhere.
    fn assignment(&mut self, operation: &OpAssignment, pair: &BinaryExpr) -> Stmt {
        let at = operation.position();
        let lhs = self.rewrite_target(&pair.lhs);
        let value = self.lower(&pair.rhs);
        let symbol = operation.get_op_assignment_info().map(|info| info.5);
        let value = match symbol {
            None => to_expr(&value),
            Some(symbol) => {
                let op = Operator::from_symbol(symbol);
                let is_variable = matches!(lhs, Expr::Variable(..));
                match op.filter(|_| is_variable) {
                    Some(op) => {
                        let whole = Node::Opaque(Box::new(lhs.clone()));
                        to_expr(&Node::Binary(op, Box::new((whole, value)), at))
                    }
                    None => {
                        self.problem(
                            at,
                            format!("`{symbol}=` works on plain variables only"),
                            "write it out: `a[i] = a[i] + x`",
                        );
                        Expr::Unit(at)
                    }
                }
            }
        };
        let rhs = if matches!(lhs, Expr::Variable(..)) {
            value
        } else {
            // Rhai does not check sizes of what is put in through an index: it is paid for here.
            custom(key::PAY, 0, std::iter::once(value).collect(), at)
        };
        Stmt::Assignment(Box::new((
            OpAssignment::new_assignment(at),
            BinaryExpr { lhs, rhs },
        )))
    }
}

/// Whether a statement only gives a value, which nobody takes where others follow.
fn is_lost(statement: &Stmt) -> bool {
    let all = |block: &StmtBlock| !block.is_empty() && block.iter().all(is_lost);
    match statement {
        Stmt::FnCall(..) => true,
        // A method may change what it is called on.
        Stmt::Expr(expr) => !matches!(**expr, Expr::Dot(..) | Expr::Index(..) | Expr::Stmt(..)),
        Stmt::If(flow, _) => all(&flow.body) && (flow.branch.is_empty() || all(&flow.branch)),
        _ => false,
    }
}

/// Functions of the author's own, ready to run, in the order of the text.
pub(crate) fn lower_functions(
    ast: &AST,
    names: &[AuthorName],
    context: FormulaContext,
) -> (Arc<[AuthorFunction]>, Vec<Problem>) {
    let mut problems = Vec::new();
    let bodies = bodies(ast);
    let functions = bodies.into_iter().map(|(definition, statements)| {
        let mut lowering = Lowering::new(context, None, names);
        lowering.inside_function = true;
        let node = lowering.lower_script(&statements);
        problems.append(&mut lowering.problems);
        AuthorFunction {
            parameters: definition.parameters,
            body: to_expr(&node),
        }
    });
    let functions: Arc<[AuthorFunction]> = functions.collect();
    (functions, problems)
}

/// Name and number of parameters of every function of the author's own, in the order of the text.
pub(crate) fn author_names(ast: &AST) -> Vec<AuthorName> {
    let definitions = definitions(ast).into_iter();
    definitions
        .map(|(definition, ..)| AuthorName {
            name: definition.name,
            parameters: definition.parameters.len(),
        })
        .collect()
}

struct Definition {
    name: rhai::ImmutableString,
    parameters: Vec<rhai::ImmutableString>,
}

/// Heads of functions with where their bodies begin and end, in the order of the text.
fn definitions(ast: &AST) -> Vec<(Definition, Position, Position)> {
    let mut found: Vec<_> = ast
        .iter_fn_def()
        .map(|function| {
            let definition = Definition {
                name: function.name.clone(),
                parameters: function.params.to_vec(),
            };
            let body = &function.body;
            (definition, body.start_position(), body.end_position())
        })
        .collect();
    found.sort_by_key(|(_, start, _)| *start);
    found
}

/// Functions with the statements of their bodies. Rhai shows bodies only while walking, so they are told apart by place.
fn bodies(ast: &AST) -> Vec<(Definition, Vec<Stmt>)> {
    let mut statements: Vec<Stmt> = Vec::new();
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        if let [ASTNode::Stmt(statement)] = path {
            statements.push((*statement).clone());
        }
        true
    });
    let inside = |statement: &Stmt, start: Position, end: Position| {
        (start..=end).contains(&statement.position())
    };
    definitions(ast)
        .into_iter()
        .map(|(definition, start, end)| {
            let own = statements.iter().filter(|one| inside(one, start, end));
            (definition, own.cloned().collect())
        })
        .collect()
}
