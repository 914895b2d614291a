package graph

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
)

// The bounds of an expression. CEL counts what an evaluation costs: about one for each
// operation, and more for those that go through long values. A celWork counts what
// CEL counts only once it has been done.
const (
	celMostNodes    = 5_000      // parts of an expression, macros expanded
	celMostNesting  = 6          // comprehensions, such as map and filter, in each other or on each other
	celMostDepth    = 100        // of parentheses and the like
	celMostCost     = 2_000_000  // some tenths of a second
	celMostWork     = 5_000_000  // some tenths of a second
	celMostSession  = 50_000_000 // of cost and work of all expressions of a graph for one input of a step
	celFewWork      = 10_000     // that one may do whose cost is not counted, also when that has been done
	celMostSize     = 1_000_000  // of a value whose size is counted
	celLongestRange = 100_000    // of lists.range
	celLargestRegex = 1_000      // instructions of a regular expression
	celFewNodes     = 50         // parts of an expression whose cost is not counted
)

// celBounds are the bounds that hold for the environment.
func celBounds() []cel.EnvOption {
	return []cel.EnvOption{
		cel.ParserExpressionSizeLimit(celLongestSource),
		cel.ParserRecursionLimit(celMostDepth),
		cel.ParserErrorRecoveryLimit(5),
		cel.ExpressionNodeLimit(celMostNodes),
		cel.RegexProgramSizeLimit(celLargestRegex),
		cel.ASTValidators(
			cel.ValidateComprehensionNestingLimit(celMostNesting),
			cel.ValidateRegexLiterals(),
			cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(),
		),
		cel.CostSizingStrategy(cost.AggregateSizingStrategy(
			types.SizeCalculatorMaxDepth(deepestValue), types.SizeCalculatorMaxTraversal(celMostSize),
		)),
	}
}

// programOptions returns how an expression is run. One that is short, and goes through
// nothing, ends soon by itself: what it costs is not counted.
func (e *celEnv) programOptions(a *ast.AST) (opts []cel.ProgramOption, counted bool) {
	opts = []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize), cel.CustomDecoratorV2(e.decorate(a.TypeMap()))}
	nodes, loops := 0, false
	ast.PostOrderVisit(a.Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		nodes++
		loops = loops || x.Kind() == ast.ComprehensionKind
	}))
	if counted = loops || nodes > celFewNodes; counted {
		opts = append(opts, cel.CostLimit(celMostCost))
	}
	return opts, counted
}
