// One row of a weight- or input-stationary array: units.array_row. The left edge switches the row's code on
// in the slot of its segment; `load` takes two cycles to the next row and all else takes one.
module array_row #(
    parameter int COLUMNS         = 64,
    parameter int SLOT_BITS       = 7,
    parameter int MOVING_BITS     = 8,
    parameter int HELD_BITS       = 8,
    parameter int MOVING_EXPONENT = 0,                   // see element_product
    parameter int HELD_EXPONENT   = 0,
    parameter int PRODUCT_BITS    = MOVING_BITS + HELD_BITS,
    parameter int DROPPED         = 0,
    parameter int WINDOW_ROUNDING = 0,
    parameter int SUM_BITS        = 22,
    parameter int CHAINS          = 1,
    parameter bit OVERLAP         = 1'b1,
    parameter int WAVE            = SLOT_BITS + 4,       // {slot, last, fresh, swap, valid}
    parameter int TAG             = SLOT_BITS + CHAINS,  // {slot, on}
    parameter int SUMS            = CHAINS * SUM_BITS    // of one column
) (
    input  logic                          clk,
    input  logic                          rst,
    input  logic               [WAVE-1:0] wave,
    input  logic                          load,
    input  logic                [TAG-1:0] tag,
    input  logic        [MOVING_BITS-1:0] code,
    input  logic  [COLUMNS*HELD_BITS-1:0] passed,
    input  logic       [COLUMNS*SUMS-1:0] sum,
    output logic               [WAVE-1:0] wave_out,
    output logic                          load_out,
    output logic                [TAG-1:0] tag_out,
    output logic  [COLUMNS*HELD_BITS-1:0] passed_out,
    output logic       [COLUMNS*SUMS-1:0] sum_out,
    output logic       [COLUMNS*SUMS-1:0] total
);
  // down to the next row
  logic valid, swap, fresh, last, halfway;
  logic [SLOT_BITS-1:0] slot;
  logic [TAG-1:0] passed_tag;
  always_ff @(posedge clk) begin
    valid      <= ~rst & wave[0];
    swap       <= ~rst & wave[1];
    fresh      <= wave[2];
    last       <= wave[3];
    slot       <= wave[4+:SLOT_BITS];
    halfway    <= ~rst & load;
    load_out   <= ~rst & halfway;
    passed_tag <= tag;
  end
  assign wave_out = {slot, last, fresh, swap, valid};
  assign tag_out  = passed_tag;

  // the tag that stays: from the shadow register with the first code of a fold, or as it comes
  logic [TAG-1:0] held, own;
  logic [CHAINS-1:0] on;
  if (OVERLAP) begin : shadow
    logic [TAG-1:0] following;
    always_ff @(posedge clk) begin
      if (load) following <= tag;
      held <= own;
    end
    assign own = wave[1] ? following : held;
  end else begin : plain
    always_ff @(posedge clk) if (load) held <= tag;
    assign own = held;
  end
  assign on = wave[0] && wave[4+:SLOT_BITS] == own[TAG-1:CHAINS] ? own[CHAINS-1:0] : '0;

  // the elements, and what goes from each to the next
  logic [(COLUMNS+1)*MOVING_BITS-1:0] codes;
  logic [(COLUMNS+1)*CHAINS-1:0] ons;
  logic [COLUMNS:0] swaps, loads;
  assign codes[MOVING_BITS-1:0] = code;
  assign ons[CHAINS-1:0] = on;
  assign swaps[0] = wave[1];
  assign loads[0] = load;
  for (genvar j = 0; j < COLUMNS; j++) begin : element
    processing_element #(
        .MOVING_BITS(MOVING_BITS), .HELD_BITS(HELD_BITS), .MOVING_EXPONENT(MOVING_EXPONENT),
        .HELD_EXPONENT(HELD_EXPONENT), .PRODUCT_BITS(PRODUCT_BITS), .DROPPED(DROPPED),
        .WINDOW_ROUNDING(WINDOW_ROUNDING), .SUM_BITS(SUM_BITS), .CHAINS(CHAINS), .OVERLAP(OVERLAP)
    ) u (
        .clk(clk),
        .code(codes[j*MOVING_BITS+:MOVING_BITS]),
        .on(ons[j*CHAINS+:CHAINS]),
        .swap(swaps[j]),
        .load(loads[j]),
        .passed(passed[j*HELD_BITS+:HELD_BITS]),
        .sum(sum[j*SUMS+:SUMS]),
        .code_out(codes[(j+1)*MOVING_BITS+:MOVING_BITS]),
        .on_out(ons[(j+1)*CHAINS+:CHAINS]),
        .swap_out(swaps[j+1]),
        .load_out(loads[j+1]),
        .passed_out(passed_out[j*HELD_BITS+:HELD_BITS]),
        .sum_out(sum_out[j*SUMS+:SUMS]),
        .total(total[j*SUMS+:SUMS])
    );
  end
  (* keep *) logic unused;  // the last element is like the others
  assign unused = ^{
      codes[COLUMNS*MOVING_BITS+:MOVING_BITS], ons[COLUMNS*CHAINS+:CHAINS], swaps[COLUMNS], loads[COLUMNS]
  };
endmodule
