---@meta _
-- Tables that users of studies write and read. The functions are in lua/lmopt/studies.lua, study.lua, trial.lua.

---@class lmopt.StudyOptions
---@field name? string default: "study-" and the seed
---@field storage? string "sqlite:///qa.db", or a bare path; default: in memory
---@field direction? "minimize"|"maximize" default: "minimize"
---@field directions? ("minimize"|"maximize")[] one for each value of the objective, instead of `direction`
---@field seed? integer at least 0; default: one is drawn, stored and shown
---@field sampler? string|lmopt.Sampler default: "auto"
---@field pruner? string|lmopt.Pruner default: "median" for one direction, "none" for several
---@field load_if_exists? boolean go on with the study of that name, if it is there; default: false
---@field lag? integer trial k knows the results of trials up to k - lag; default: 1 when the first `n_jobs` is 1, else `2 * n_jobs`
---@field order? "number"|"arrival" in which order results become known; default: "number"; "arrival" gives up the first law
---@field budget? lmopt.BudgetLimits|false a hard limit over all runs; false takes it away
---@field best? "value"|"robust" which trial is the best: of the best value, or where the objective is best in spite of noise; kept with the study; default: "value"
---@field space? lmopt.Space the parameters of every trial, drawn when it is asked, and what they must keep to

---@class lmopt.LoadStudyOptions
---@field name? string default: the only one in the storage
---@field storage string
---@field sampler? string|lmopt.Sampler default: "auto"
---@field pruner? string|lmopt.Pruner as for create_study
---@field read_only? boolean change no byte of the file; default: false
---@field best? "value"|"robust" as for create_study, for this handle; default: what is kept with the study
---@field space? lmopt.Space as for create_study

---@class lmopt.CopyStudyOptions
---@field from_name string
---@field from_storage string
---@field to_storage string may be the same file
---@field to_name? string default: the same name

---@class lmopt.DeleteStudyOptions
---@field name string
---@field storage string

---@class lmopt.StudySummary
---@field name string its name
---@field id integer its key in the file
---@field directions string[] "minimize" or "maximize", one for each value
---@field trials table<string, integer> how many, by state
---@field started string? when its first trial began: UTC, "2026-01-31 12:00:00"

---@class lmopt.OptimizeOptions
---@field n_trials? integer trials to begin here; without it, `total` and `timeout` it goes on until the sampler has nothing left or somebody stops it
---@field total? integer finished trials that the study shall have in the end, earlier runs included
---@field timeout? number seconds after which no trial begins; those that run are interrupted and go back to waiting
---@field n_jobs? integer trials side by side; default: 1
---@field callbacks? (fun(study: lmopt.Study, trial: lmopt.Record))[] called after each finished trial, in the order of their numbers
---@field catch? boolean false: the first trial that raises ends the run; default: true
---@field progress? boolean|fun(event: table) true: a bar on standard error; default: nothing
---@field trial_budget? lmopt.BudgetLimits limits of each trial; one that is over ends as pruned
---@field stop? lmopt.StoppingRule|lmopt.StoppingRule[] rules of lmopt.stopping that end it early, whichever is first
---@field generation? { first: integer, size: integer } from trial `first` on, no trial begins before those of all earlier groups of `size` have ended, so an objective may rely on them
---@field space? lmopt.Space of this run's trials and of later ones, in place of the study's

---@class lmopt.OptimizeSummary
---@field reason "done"|"timeout"|"stopped"|"exhausted"|"limit" why it ended; "exhausted": the sampler had nothing left; "limit": a budget
---@field message string? in words, where there is more to say
---@field usage lmopt.Usage of the model calls in this run
---@field started integer trials that began here
---@field complete integer trials of this run
---@field pruned integer
---@field failed integer
---@field first_failure { number: integer, message: string }? of the trials that failed, the one with the lowest number

---Limits: hard ones, of what is sent. What may be spent is reserved before.
---@class lmopt.BudgetLimits
---@field calls? integer requests that are sent; what the cache has is none
---@field tokens? integer of prompts and completions together
---@field prompt_tokens? integer of what is sent
---@field completion_tokens? integer of what comes back
---@field usd? number US dollars, by the model's price
---@field seconds? number of the wall clock
---@field models? table<string, lmopt.BudgetLimits> the same, but for seconds, for single models: "provider/model" or a handle's name

---@class lmopt.BudgetState: lmopt.BudgetLimits
---@field spent lmopt.BudgetLimits what is spent, calls under way included with the most they can cost

---A sampler: one of `lmopt.samplers`, its name, or a table of your own with these functions. `study` shows just what the
---trial may know, and `trial:random(purpose)` is its stream of random numbers.
---@class lmopt.Sampler
---@field name? string for people; of one of lmopt's own, how it is called in `sampler = "..."`
---@field options? table<string, any> of one of lmopt's own: what it was made with
---@field sample_independent? fun(self: table, study: lmopt.Study, trial: lmopt.Trial, name: string, distribution: lmopt.Distribution): any a value for one parameter; your own needs it
---@field infer_relative_search_space? fun(self: table, study: lmopt.Study, trial: lmopt.Trial): table<string, lmopt.Distribution> the parameters that are drawn together
---@field sample_relative? fun(self: table, study: lmopt.Study, trial: lmopt.Trial, space: table<string, lmopt.Distribution>): table<string, any> their values

---A pruner: one of `lmopt.pruners`, its name, or a table of your own.
---@class lmopt.Pruner
---@field name? string for people; of one of lmopt's own, how it is called in `pruner = "..."`
---@field options? table<string, any> of one of lmopt's own: what it was made with
---@field prune? fun(self: table, study: lmopt.Study, trial: lmopt.Trial): boolean shall the trial end? Your own needs it

---@class lmopt.Nsga2Options
---@field population_size? integer trials of a generation (50)
---@field crossover? string|lmopt.Crossover "uniform" (the default), "blxalpha", "spx", "sbx", "vsbx", "undx", or one of lmopt.samplers.crossovers
---@field crossover_prob? number that a child has several parents (0.9)
---@field swapping_prob? number that it has a category, or with "uniform" a number, of the last of them (0.5)
---@field mutation? string|lmopt.Mutation "polynomial", or one of lmopt.samplers.mutations; by default what mutates is drawn anew
---@field mutation_prob? number of each parameter (one over their number)

---@class lmopt.Nsga3Options : lmopt.Nsga2Options
---@field reference_points? number[][] directions in the space of the objectives to spread along
---@field dividing_parameter? integer steps along each axis of the default directions (3)

---@class lmopt.Crossover what lmopt.samplers.crossovers make

---@class lmopt.Mutation what lmopt.samplers.mutations make

---@class lmopt.ImportanceOptions
---@field evaluator? "ped_anova"|"fanova" default: "ped_anova"
---@field params? string[] names; default: all that complete trials have
---@field target? fun(trial: lmopt.Record): number what to explain instead of the value; for "ped_anova" small is good
---@field normalize? boolean they add up to 1; default: true
---@field target_quantile? number "ped_anova": the share of the trials that are good; default: 0.1
---@field region_quantile? number "ped_anova": the share they are compared with; default: 1
---@field evaluate_on_local? boolean "ped_anova": with where the trials were (true, the default), or with the whole ranges
---@field n_trees? integer "fanova": default: 64
---@field max_depth? integer "fanova": default: 64
---@field seed? integer "fanova": of the forest; default: 0

---@class lmopt.Importances the largest first; by name too: `importances.x`
---@field [integer] { name: string, importance: number }

---@class lmopt.AutoOptions
---@field quick? boolean never the Gaussian process: an ask takes less than a millisecond; default: what the host said with `never_block`, else false

---@class lmopt.TpeOptions
---@field n_startup_trials? integer trials at random before the model; default: 10
---@field n_ei_candidates? integer candidates of each draw; default: 24
---@field multivariate? boolean parameters that all trials share are drawn together; default: true for one direction, false for several
---@field group? boolean with `multivariate`: also those that only some trials have; default: false
---@field constant_liar? boolean running trials count as bad ones; default: true
---@field prior_weight? number default: 1
---@field consider_magic_clip? boolean default: true
---@field consider_endpoints? boolean default: false

---@class lmopt.CmaesOptions
---@field x0? table<string, number> where to begin; default: the middle of every range
---@field sigma0? number the first standard deviation, in units of the ranges; default: 1/6
---@field n_startup_trials? integer complete trials before it begins; default: 1
---@field independent_sampler? string|lmopt.Sampler one of lmopt's own, for categories and for what only some trials have; default: "tpe"
---@field restart_strategy? "ipop"|"bipop" what to do when it has converged; default: go on there
---@field inc_popsize? integer by how much a restart multiplies the population; default: 2
---@field popsize? integer trials of a generation; default: 4 + floor(3 log d)
---@field use_separable_cma? boolean a diagonal covariance, for hundreds of parameters; default: false
---@field with_margin? boolean keep integers and steps from getting stuck; default: false
---@field lr_adapt? boolean learning rates that adapt to noise and to many optima; default: false
---@field consider_pruned_trials? boolean pruned trials count, with their last report; default: false
---@field source_trials? lmopt.Record[] trials of a similar study, to begin where they were good

---@class lmopt.RepeatedOptions
---@field base? string|lmopt.Sampler one of lmopt's own, which proposes the points; default: "tpe"
---@field repeats? integer trials of each point or, with `promising`, one trial in so many evaluates a point again; default: 3
---@field promising? boolean evaluate again only what looks good; default: false

---@class lmopt.QmcOptions
---@field qmc_type? "sobol"|"halton" the sequence; default: "sobol"
---@field scramble? boolean by the study's seed; without it every study has the same points, from the corner on; default: true

---@class lmopt.GpOptions
---@field n_startup_trials? integer trials at random before the model; default: 10
---@field deterministic_objective? boolean the same parameters always give the same value; default: false
---@field acquisition? "log_ei"|"ei"|"pi"|"ucb"|"thompson" what makes a point worth trying; default: "log_ei"
---@field beta? number of "ucb": mean + sqrt(beta) * deviation; default: 2
---@field n_preliminary_samples? integer points among which the search for the next one begins; default: 2048
---@field n_local_search? integer of them, how many it goes on from; default: 10

---@class lmopt.GridOptions
---@field search_space table<string, any[]> the values of each parameter

---@class lmopt.PartialFixedOptions
---@field fixed_params table<string, any> what is not sampled
---@field base? string|lmopt.Sampler one of lmopt's own, for the others; default: "tpe"

---@class lmopt.MedianOptions
---@field n_startup_trials? integer complete trials before anything is pruned; default: 5
---@field n_warmup_steps? integer steps of each trial before it can be pruned; default: 0
---@field interval_steps? integer steps between two decisions; default: 1
---@field n_min_trials? integer reports at a step that a median is made of, at least; default: 1

---@class lmopt.PercentileOptions: lmopt.MedianOptions
---@field percentile number from 0 to 100: how much of the good side goes on

---@class lmopt.SuccessiveHalvingOptions
---@field min_resource? integer|"auto" step of the first rung; default: "auto", a hundredth of the last step of the first complete trial
---@field reduction_factor? integer one in so many passes a rung; default: 4
---@field min_early_stopping_rate? integer rungs that are left out at the beginning; default: 0
---@field bootstrap_count? integer trials that a rung must have before one passes it; default: 0

---@class lmopt.HyperbandOptions
---@field min_resource? integer step of the first rung; default: 1
---@field max_resource? integer|"auto" the most steps a trial has; default: "auto", those of the first complete trial
---@field reduction_factor? integer one in so many passes a rung; default: 3
---@field bootstrap_count? integer trials that a rung must have before one passes it; default: 0

---@class lmopt.PatientOptions
---@field patience integer reports without a gain that are borne
---@field min_delta? number|number[] how much worse they must be, of several directions for each; default: 0
---@field wrapped? string|lmopt.Pruner what decides then, lmopt's own or one in Lua; default: it is pruned

---@class lmopt.ThresholdOptions
---@field lower? number|number[] bound for all directions, or for each
---@field upper? number|number[] bound for all directions, or for each
---@field n_warmup_steps? integer steps of each trial before it can be pruned; default: 0
---@field interval_steps? integer steps between two decisions; default: 1

---@class lmopt.WilcoxonOptions
---@field p_threshold? number the p value below which a trial is pruned; default: 0.1
---@field n_startup_steps? integer steps before it can be pruned; default: 2

---@class lmopt.RestartOptions
---@field base? string|lmopt.Sampler one of lmopt's own; default: "tpe"
---@field stagnation? integer complete and pruned trials without a gain before it begins anew; default: 30
---@field keep_best? boolean it knows the best trial before, with one direction; default: false

---A rule that ends a study early: one of `lmopt.stopping`. It can be a callback, too.
---@class lmopt.StoppingRule
---@overload fun(study: lmopt.Study, trial: lmopt.Record)
---@field name string as in `lmopt.stopping`
---@field options table<string, any> what it was made with

---@class lmopt.RangeOptions
---@field step? number default: none; of an integer 1
---@field log? boolean logarithmic: low is above 0, and there is no step; default: false

---@class lmopt.NewTrialOptions
---@field state? "complete"|"pruned"|"failed"|"waiting" default: "complete"
---@field value? number of one direction
---@field values? number[] one for each direction, instead of `value`
---@field params? table<string, any> by name
---@field distributions? table<string, lmopt.Distribution> one for each parameter
---@field user_attrs? table<string, any> anything lmopt.json can write
---@field system_attrs? table<string, any> as lmopt and Optuna keep them
---@field intermediate_values? table<integer, number|number[]> step -> value, or a list of values with several directions
---@field constraints? table<string, number> name -> value, feasible at 0 and below
