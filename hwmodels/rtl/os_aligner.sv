// An aligner of an array in which outputs stay, for the GROUP rows of a column in turn: os_element.aligner_step.
// What comes from the left moves on to the next column; what comes from above, to the next group of rows.
module os_aligner #(
    parameter int GROUP      = 32,
    parameter int BITS       = 32,
    parameter bit SATURATING = 1'b1,
    parameter int GUARD_BITS = 8,
    parameter int MAX_SHIFT  = 31,
    parameter int ROUNDING   = 2,
    parameter int NORMALISE  = 0,   // E: 0 of the largest exponents, 1 by the prescan, 2 as terms arrive
    parameter int RAW_BITS   = 32,
    parameter int WORD       = 10,
    parameter int FRACTION   = 0,   // bits of raw sums below their binary point
    parameter int TURN       = GROUP > 1 ? $clog2(GROUP) : 1
) (
    input  logic                             clk,
    input  logic                             rst,
    input  logic                             serve,
    input  logic                             opening,
    input  logic                             closing,
    input  logic                  [TURN-1:0] turn,
    input  logic signed                [7:0] row,
    input  logic signed                [7:0] column,
    input  logic signed           [WORD-1:0] floor,
    input  logic signed               [31:0] bias,
    input  logic signed                [7:0] bias_exponent,
    input  logic signed           [WORD-1:0] exact,
    input  logic        [GROUP*RAW_BITS-1:0] raw,
    input  logic            [GROUP*BITS-1:0] aligned,
    input  logic            [GROUP*WORD-1:0] bound,
    output logic                             serve_on,
    output logic                             opening_on,
    output logic                             closing_on,
    output logic                  [TURN-1:0] turn_on,
    output logic signed                [7:0] row_on,
    output logic signed                [7:0] column_on,
    output logic signed           [WORD-1:0] floor_on,
    output logic signed               [31:0] bias_on,
    output logic signed                [7:0] bias_exponent_on,
    output logic                 [GROUP-1:0] served,
    output logic signed           [BITS-1:0] word,
    output logic signed           [WORD-1:0] top,
    output logic                             done,
    output logic                             flushed,
    output logic                             dropped,
    output logic                             overflow
);
  localparam int Shift = WORD + 2;
  localparam int Free = BITS - 10 < MAX_SHIFT ? BITS - 10 : MAX_SHIFT;
  // sums with bits below their binary point come as whole numbers: aligner.of_terms
  localparam int TermGuard = GUARD_BITS - FRACTION;
  localparam int Beyond = FRACTION > 0 ? MAX_SHIFT + FRACTION : MAX_SHIFT;
  localparam int TermShift = Beyond < 62 ? Beyond : 62;
  localparam int Wanted = TermGuard > Free ? TermGuard : Free;
  localparam int Reach = Wanted > 1 ? Wanted : 1;
  localparam int Guarded = RAW_BITS + (TermGuard > 0 ? TermGuard : 0);
  localparam int Term = Guarded > BITS ? Guarded : BITS;
  localparam logic signed [Shift-1:0] BiasGuard = Shift'(GUARD_BITS);
  localparam logic signed [Shift-1:0] SumGuard = Shift'(TermGuard);
  localparam logic signed [Shift-1:0] FurthestSum = Shift'(-TermShift);
  localparam logic signed [Shift-1:0] Furthest = Shift'(-MAX_SHIFT);
  localparam logic signed [7:0] ZeroBlock = -8'sd128;

  // what a group keeps of its column while its rows are served
  logic fresh, opened;
  logic signed [7:0] of_column, of_bias;
  logic signed [31:0] start;
  logic signed [WORD-1:0] least;
  assign fresh     = serve && turn == '0;
  assign opened    = fresh & opening;
  assign of_column = fresh ? column : column_on;
  assign least     = opened ? floor : floor_on;
  assign start     = opened ? bias : bias_on;
  assign of_bias   = opened ? bias_exponent : bias_exponent_on;
  always_ff @(posedge clk) begin
    serve_on         <= serve & ~rst;
    opening_on       <= opening;
    closing_on       <= closing;
    turn_on          <= turn;
    row_on           <= row;
    column_on        <= of_column;
    floor_on         <= least;
    bias_on          <= start;
    bias_exponent_on <= of_bias;
  end

  // the row whose turn it is
  logic signed [RAW_BITS-1:0] of_raw[GROUP+1];
  logic signed [BITS-1:0] of_aligned[GROUP+1];
  logic signed [WORD-1:0] of_bound[GROUP+1];
  assign of_raw[0]     = '0;
  assign of_aligned[0] = '0;
  assign of_bound[0]   = '0;
  for (genvar i = 0; i < GROUP; i++) begin : place
    logic mine;
    assign mine            = turn == TURN'(i);
    assign served[i]       = serve & mine;
    assign of_raw[i+1]     = of_raw[i] | ({RAW_BITS{mine}} & raw[i*RAW_BITS+:RAW_BITS]);
    assign of_aligned[i+1] = of_aligned[i] | ({BITS{mine}} & aligned[i*BITS+:BITS]);
    assign of_bound[i+1]   = of_bound[i] | ({WORD{mine}} & bound[i*WORD+:WORD]);
  end

  // E
  logic signed [8:0] sum;
  logic some;
  logic signed [BITS-1:0] own, acc;
  logic signed [WORD-1:0] so_far;
  assign own    = of_aligned[GROUP];
  assign so_far = of_bound[GROUP];
  assign sum    = 9'(row) + 9'(of_column);
  assign some   = row != ZeroBlock && of_column != ZeroBlock;
  generate
    if (NORMALISE == 2) begin : running
      logic signed [WORD-1:0] higher;
      logic signed [WORD:0] down;
      logic signed [BITS:0] lowered;
      assign higher = some && WORD'(sum) > so_far ? WORD'(sum) : so_far;
      assign top    = opening ? least : higher;
      assign down   = (WORD + 1)'(so_far) - (WORD + 1)'(higher);
      scale #(.WX(BITS), .WS(WORD + 1), .LIMIT(MAX_SHIFT), .LONGEST_LEFT(1), .ROUNDING(ROUNDING)) u_lower (
          .x(own),
          .s(down),
          .y(lowered)
      );
      assign acc     = opening ? '0 : lowered[BITS-1:0];
      assign dropped = serve && !opening && own != '0 && down < (WORD + 1)'(Furthest);
      logic unused;
      assign unused = ^{exact, lowered[BITS]};
    end else begin : still
      logic signed [WORD-1:0] joined, first;
      assign joined  = some && WORD'(sum) > least ? WORD'(sum) : least;
      assign first   = NORMALISE == 1 ? exact : joined;
      assign top     = opening ? first : so_far;
      assign acc     = opening ? '0 : own;
      assign dropped = 1'b0;
      logic unused;
      assign unused = ^{exact, joined};
    end
  endgenerate

  // align and add
  logic signed [RAW_BITS-1:0] x;
  logic signed [8:0] exponent;
  logic signed [Shift-1:0] shift;
  logic signed [RAW_BITS+Reach-1:0] shifted;
  logic signed [Term-1:0] term;
  logic over, lost;
  assign x        = opening ? RAW_BITS'(start) : of_raw[GROUP];
  assign exponent = opening ? 9'(of_bias) : sum;
  assign shift    = (opening ? BiasGuard : SumGuard) - (Shift'(top) - Shift'(exponent));
  assign lost     = shift < (opening ? Furthest : FurthestSum);
  scale #(
      .WX(RAW_BITS), .WS(Shift), .LIMIT(TermShift), .LONGEST_LEFT(Reach), .ROUNDING(ROUNDING)
  ) u_align (
      .x(x),
      .s(shift),
      .y(shifted)
  );
  assign term     = lost ? '0 : Term'(shifted);
  accumulator #(.BITS(BITS), .SUM_BITS(Term), .SATURATING(SATURATING)) u_add (
      .acc(acc),
      .x(term),
      .sum(word),
      .overflow(over)
  );
  generate
    if (RAW_BITS + Reach > Term) begin : no_wider  // what is shifted further is zero
      logic unused;
      assign unused = ^shifted[RAW_BITS+Reach-1:Term];
    end
  endgenerate
  assign done     = serve & closing;
  assign flushed  = serve && x != '0 && lost;
  assign overflow = serve & over;
endmodule
