// The sequencer of a weight- or input-stationary array: units.sequencer. Folds are loaded and then stream;
// with OVERLAP the next is loaded while one streams. Memories are asked for what the next state needs.
module sequencer #(
    parameter int ROWS        = 64,
    parameter int COLUMNS     = 64,
    parameter bit OVERLAP     = 1'b1,
    parameter int LATENCY     = 1,
    parameter int SLOT_BITS   = 7,
    parameter int MOVING_BITS = 8,
    parameter int FOLD_BITS   = 12,
    parameter int ROW_BITS    = $clog2(ROWS),
    parameter int WAVE        = SLOT_BITS + 4  // {slot, last, fresh, swap, valid}
) (
    input  logic                   clk,
    input  logic                   rst,
    input  logic                   start,
    input  logic [MOVING_BITS-1:0] last_row,
    input  logic   [FOLD_BITS-1:0] last_fold,
    input  logic   [SLOT_BITS-1:0] last_slot,
    output logic                   load,
    output logic        [WAVE-1:0] wave,
    output logic                   done,
    output logic   [FOLD_BITS-1:0] ahead,
    output logic                   load_next,
    output logic    [ROW_BITS-1:0] load_row_next,
    output logic   [FOLD_BITS-1:0] fold_next,
    output logic                   stream_next,
    output logic [MOVING_BITS-1:0] row_next
);
  localparam int Wave = ROWS + COLUMNS - 2;  // from the first element to the last
  localparam int Least = OVERLAP && ROWS > LATENCY ? ROWS : LATENCY;  // of a fold beside which one is loaded
  localparam int Longest = Wave > Least ? Wave : Least;
  localparam int LEFT_BITS = $clog2(Longest > ROWS ? Longest : ROWS);
  localparam logic [1:0] Idle = 2'd0, Load = 2'd1, Stream = 2'd2, Drain = 2'd3;

  logic [MOVING_BITS-1:0] final_row, row;
  logic [FOLD_BITS-1:0] final_fold, fold;
  logic [SLOT_BITS-1:0] final_slot, slot;
  logic [LEFT_BITS-1:0] left, left_next;
  logic [ROW_BITS-1:0] load_row;
  logic [1:0] phase, phase_next;
  logic loading, streaming;

  // what ends in this cycle
  logic turn, moved, over, last, loaded, streamed, drained;
  assign turn     = streaming && slot == final_slot;
  assign moved    = ~streaming || turn && row == final_row;
  assign over     = left == '0;
  assign last     = fold == final_fold;
  assign loaded   = over && phase == Load;
  assign streamed = over && phase == Stream && moved;
  assign drained  = over && phase == Drain;
  assign done     = drained && last;

  // what begins in the next
  logic accepted, again, onward, stream, load_only, load_beside;
  assign accepted    = start && (phase == Idle || done);
  assign again       = drained && ~last;
  assign onward      = OVERLAP && streamed && ~last;
  assign stream      = loaded || onward;
  assign load_only   = accepted || again;
  assign load_beside = OVERLAP && stream && fold_next != final_fold;

  assign fold_next     = accepted ? '0 : fold + FOLD_BITS'(again || onward);
  assign load_next     = load_only || load_beside || loading && load_row != ROW_BITS'(ROWS - 1);
  assign load_row_next = load_only || load_beside ? '0 : load_row + ROW_BITS'(loading);
  assign stream_next   = stream || ~moved;
  assign row_next      = stream ? '0 : row + MOVING_BITS'(turn);
  assign ahead         = fold_next + FOLD_BITS'(OVERLAP && phase_next == Stream);
  always_comb begin
    phase_next = phase;
    left_next  = over ? '0 : left - 1'b1;
    if (load_only) begin
      phase_next = Load;
      left_next  = LEFT_BITS'(ROWS - 1);
    end else if (stream) begin
      phase_next = Stream;
      left_next  = load_beside ? LEFT_BITS'(Least - 1) : LEFT_BITS'(LATENCY - 1);
    end else if (streamed) begin
      phase_next = Drain;
      left_next  = LEFT_BITS'(Wave - 1);
    end else if (done) phase_next = Idle;
  end

  always_ff @(posedge clk) begin
    phase     <= rst ? Idle : phase_next;
    loading   <= ~rst & load_next;
    streaming <= ~rst & stream_next;
    left      <= left_next;
    load_row  <= load_row_next;
    fold      <= fold_next;
    row       <= row_next;
    slot      <= stream || turn ? '0 : slot + SLOT_BITS'(streaming);
    if (stream) final_slot <= last_slot;
    if (accepted) begin
      final_row  <= last_row;
      final_fold <= last_fold;
    end
  end

  assign load = loading && load_row == '0;
  assign wave = {slot, turn, fold == '0, streaming && row == '0 && slot == '0, streaming};
endmodule
