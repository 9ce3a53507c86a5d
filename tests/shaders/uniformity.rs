//! What in a kernel is made of constants and uniforms alone: a walk over naga's IR in the order of execution.
//!
//! It follows local variables through branches and loops, and calls with what they are called with. Where it can't
//! tell, a value counts as made of what could have gone into it.

use std::collections::{BTreeSet, HashMap};

use naga::{
    AddressSpace, Block, Expression, Function, Handle, LocalVariable, Module, Statement, TypeInner,
};
use naga::{Span, proc::TypeResolution, valid::FunctionInfo, valid::ModuleInfo};

/// What a value is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Made {
    /// Constants alone: the compiler knows it.
    #[default]
    OfConstants,
    /// Constants and uniforms: known when the kernel is dispatched.
    OfUniforms,
    /// Anything else: known when it runs.
    AtRunTime,
}

/// Something that a driver is bad at, with its line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// An `if`, a `switch` or the end of a loop that depends on constants and uniforms alone.
    UniformBranch(u32),
    /// An array of one invocation's own, indexed by what only the run time knows.
    PrivateArray(u32),
}

/// What stands in an entry point and in the functions that it calls.
pub fn findings(module: &Module, info: &ModuleInfo, entry: &str, text: &str) -> BTreeSet<Finding> {
    let index = module.entry_points.iter().position(|point| point.name == entry);
    let index = index.expect("an entry point of that name");
    let function = &module.entry_points[index].function;
    let arguments = vec![Made::AtRunTime; function.arguments.len()];
    let mut found = BTreeSet::new();
    Walk::new(module, info, function, info.get_entry_point(index), arguments, text, &mut found)
        .run();
    found
}

struct Walk<'m, 'f> {
    module: &'m Module,
    info: &'m ModuleInfo,
    function: &'m Function,
    types: &'m FunctionInfo,
    arguments: Vec<Made>,
    text: &'m str,
    found: &'f mut BTreeSet<Finding>,
    values: HashMap<Handle<Expression>, Made>,
    locals: HashMap<Handle<LocalVariable>, Made>,
    /// For each loop around: what decides how often it runs.
    loops: Vec<Made>,
    /// The conditions around, of the innermost loop only.
    control: Vec<Made>,
    result: Made,
}

impl<'m, 'f> Walk<'m, 'f> {
    fn new(
        module: &'m Module,
        info: &'m ModuleInfo,
        function: &'m Function,
        types: &'m FunctionInfo,
        arguments: Vec<Made>,
        text: &'m str,
        found: &'f mut BTreeSet<Finding>,
    ) -> Self {
        let (values, locals) = (HashMap::new(), HashMap::new());
        let (loops, control, result) = (Vec::new(), Vec::new(), Made::OfConstants);
        Walk {
            module,
            info,
            function,
            types,
            arguments,
            text,
            found,
            values,
            locals,
            loops,
            control,
            result,
        }
    }

    /// What the function returns.
    fn run(mut self) -> Made {
        for (local, variable) in self.function.local_variables.iter() {
            let made = variable.init.map_or(Made::OfConstants, |init| self.made(init));
            self.locals.insert(local, made);
        }
        self.block(&self.function.body);
        self.result
    }

    fn block(&mut self, block: &Block) {
        for (statement, span) in block.span_iter() {
            self.statement(statement, *span);
        }
    }

    fn statement(&mut self, statement: &Statement, span: Span) {
        match statement {
            Statement::Emit(range) => {
                for expression in range.clone() {
                    let made = self.evaluate(expression);
                    self.values.insert(expression, made);
                    self.check_array(expression);
                }
            }
            Statement::Block(block) => self.block(block),
            Statement::If { condition, accept, reject } => {
                self.branch(self.made(*condition), span, &[accept, reject]);
            }
            Statement::Switch { selector, cases } => {
                let cases: Vec<&Block> = cases.iter().map(|case| &case.body).collect();
                self.branch(self.made(*selector), span, &cases);
            }
            Statement::Loop { body, continuing, break_if } => {
                self.repeat(body, continuing, break_if.as_ref(), span);
            }
            Statement::Break => self.leave(),
            Statement::Return { value } => {
                let value = value.map_or(Made::OfConstants, |value| self.made(value));
                let why = self.control.iter().chain(&self.loops).copied().max();
                self.result = self.result.max(value).max(why.unwrap_or_default());
                self.leave();
            }
            Statement::Store { pointer, value } => {
                let value = self.made(*value);
                self.store(*pointer, value);
            }
            Statement::Call { function, arguments, result } => {
                let made: Vec<Made> = arguments.iter().map(|a| self.made(*a)).collect();
                let (callee, types) = (&self.module.functions[*function], &self.info[*function]);
                let (module, info, text) = (self.module, self.info, self.text);
                let value = Walk::new(module, info, callee, types, made, text, self.found).run();
                if let Some(result) = result {
                    self.values.insert(*result, value);
                }
                // What is behind a pointer may be written to.
                arguments.iter().for_each(|pointer| self.store(*pointer, Made::AtRunTime));
            }
            // Nothing else makes a value of constants or uniforms: results of atomics and subgroups, stores.
            _ => {}
        }
    }

    /// Each of the blocks is entered or not, as something decides.
    fn branch(&mut self, why: Made, span: Span, blocks: &[&Block]) {
        if why == Made::OfUniforms {
            self.found.insert(Finding::UniformBranch(span.location(self.text).line_number));
        }
        let before = self.locals.clone();
        let mut after = HashMap::new();
        self.control.push(why);
        for block in blocks {
            self.locals.clone_from(&before);
            self.block(block);
            join(&mut after, &self.locals);
        }
        self.control.pop();
        for (local, made) in &mut after {
            if self.stored(blocks, *local) {
                *made = (*made).max(why);
            }
        }
        self.locals = after;
    }

    fn repeat(
        &mut self,
        body: &Block,
        continuing: &Block,
        break_if: Option<&Handle<Expression>>,
        span: Span,
    ) {
        let outer = std::mem::take(&mut self.control);
        let mut often = Made::OfConstants;
        // Until a round changes nothing any more; every round can only move values up.
        loop {
            let (before, found) = (self.locals.clone(), self.found.clone());
            self.loops.push(often);
            self.block(body);
            self.block(continuing);
            if let Some(condition) = break_if {
                let made = self.made(*condition);
                if made == Made::OfUniforms {
                    self.found.insert(Finding::UniformBranch(span.location(self.text).line_number));
                }
                self.leave_because(made);
            }
            let now = self.loops.pop().expect("pushed above");
            for local in self.function.local_variables.iter().map(|(local, _)| local) {
                if self.stored(&[body, continuing], local) {
                    *self.locals.entry(local).or_default() = self.locals[&local].max(now);
                }
            }
            join(&mut self.locals, &before);
            if self.locals == before && now == often {
                break;
            }
            // What was found with too low values may be nothing.
            (often, *self.found) = (now, found);
        }
        self.control = outer;
    }

    /// The innermost loop ends here, as the conditions around decide.
    fn leave(&mut self) {
        let why = self.control.iter().copied().max().unwrap_or_default();
        self.leave_because(why);
    }

    fn leave_because(&mut self, why: Made) {
        if let Some(often) = self.loops.last_mut() {
            *often = (*often).max(why);
        }
    }

    fn store(&mut self, pointer: Handle<Expression>, value: Made) {
        let Some((local, whole)) = self.local_behind(pointer) else { return };
        let before = self.locals[&local];
        let value = value.max(self.made(pointer));
        self.locals.insert(local, if whole { value } else { value.max(before) });
    }

    /// The variable that a pointer leads into, and whether to all of it.
    fn local_behind(&self, pointer: Handle<Expression>) -> Option<(Handle<LocalVariable>, bool)> {
        match self.function.expressions[pointer] {
            Expression::LocalVariable(local) => Some((local, true)),
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => {
                self.local_behind(base).map(|(local, _)| (local, false))
            }
            _ => None,
        }
    }

    /// Whether blocks store to a variable.
    fn stored(&self, blocks: &[&Block], local: Handle<LocalVariable>) -> bool {
        let into = |pointer| self.local_behind(pointer).is_some_and(|(other, _)| other == local);
        blocks.iter().flat_map(|block| block.iter()).any(|statement| match statement {
            Statement::Store { pointer, .. } => into(*pointer),
            Statement::Call { arguments, .. } => arguments.iter().any(|a| into(*a)),
            Statement::Block(block) => self.stored(&[block], local),
            Statement::If { accept, reject, .. } => self.stored(&[accept, reject], local),
            Statement::Switch { cases, .. } => {
                cases.iter().any(|case| self.stored(&[&case.body], local))
            }
            Statement::Loop { body, continuing, .. } => self.stored(&[body, continuing], local),
            _ => false,
        })
    }

    /// What a value is made of; before the statement that emits it, what is known without.
    fn made(&self, expression: Handle<Expression>) -> Made {
        let known = self.values.get(&expression).copied();
        known.unwrap_or_else(|| self.evaluate(expression))
    }

    fn evaluate(&self, expression: Handle<Expression>) -> Made {
        use Expression as E;
        let all = |parts: &[Handle<Expression>]| {
            parts.iter().map(|part| self.made(*part)).max().unwrap_or_default()
        };
        match &self.function.expressions[expression] {
            E::Literal(_) | E::Constant(_) | E::Override(_) | E::ZeroValue(_) => Made::OfConstants,
            E::Compose { components, .. } => all(components),
            // A uniform at an index that is no constant is no uniform to the driver.
            E::Access { base, index } => match (self.made(*base), self.made(*index)) {
                (Made::OfUniforms, Made::OfUniforms) if self.is_pointer(*base) => Made::AtRunTime,
                (base, index) => base.max(index),
            },
            E::AccessIndex { base, .. } => self.made(*base),
            E::Splat { value, .. } => self.made(*value),
            E::Swizzle { vector, .. } => self.made(*vector),
            E::FunctionArgument(index) => self.arguments[*index as usize],
            E::GlobalVariable(global) => match self.module.global_variables[*global].space {
                AddressSpace::Uniform => Made::OfUniforms,
                _ => Made::AtRunTime,
            },
            // The pointer; what is behind it is asked for when it is loaded.
            E::LocalVariable(_) => Made::OfConstants,
            E::Load { pointer } => {
                let behind = self.local_behind(*pointer).map(|(local, _)| self.locals[&local]);
                self.made(*pointer).max(behind.unwrap_or_default())
            }
            E::Unary { expr, .. } | E::As { expr, .. } => self.made(*expr),
            E::Binary { left, right, .. } => all(&[*left, *right]),
            E::Select { condition, accept, reject } => all(&[*condition, *accept, *reject]),
            E::Relational { argument, .. } => self.made(*argument),
            E::Math { arg, arg1, arg2, arg3, .. } => {
                let parts = [Some(*arg), *arg1, *arg2, *arg3];
                all(&parts.into_iter().flatten().collect::<Vec<_>>())
            }
            _ => Made::AtRunTime,
        }
    }

    fn inner(&self, expression: Handle<Expression>) -> &TypeInner {
        match &self.types[expression].ty {
            TypeResolution::Handle(ty) => &self.module.types[*ty].inner,
            TypeResolution::Value(inner) => inner,
        }
    }

    fn is_pointer(&self, expression: Handle<Expression>) -> bool {
        matches!(self.inner(expression), TypeInner::Pointer { .. } | TypeInner::ValuePointer { .. })
    }

    /// Notes an element of a private array at an index that the compiler can't know.
    fn check_array(&mut self, expression: Handle<Expression>) {
        let Expression::Access { base, index } = self.function.expressions[expression] else {
            return;
        };
        let is_array =
            |ty: Handle<naga::Type>| matches!(self.module.types[ty].inner, TypeInner::Array { .. });
        let private = match self.inner(base) {
            TypeInner::Array { .. } => true,
            TypeInner::Pointer { base, space: AddressSpace::Function | AddressSpace::Private } => {
                is_array(*base)
            }
            _ => false,
        };
        if private && self.made(index) != Made::OfConstants {
            let span = self.function.expressions.get_span(expression);
            self.found.insert(Finding::PrivateArray(span.location(self.text).line_number));
        }
    }
}

fn join(
    into: &mut HashMap<Handle<LocalVariable>, Made>,
    from: &HashMap<Handle<LocalVariable>, Made>,
) {
    for (local, made) in from {
        let known = into.entry(*local).or_default();
        *known = (*known).max(*made);
    }
}
